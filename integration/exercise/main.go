// Command exercise does random things to a file or a tree and compares what it sees with a
// model of it in memory.
//
//	exercise content FILE SEED OPERATIONS
//	exercise tree DIR SEED OPERATIONS
//	exercise crowd DIR/NAME SEED OPERATIONS    one of several in DIR
//	exercise crowded DIR 0 0                   looks at DIR when all have finished
//
// Now and then it closes everything, prints "pause" and goes on when a line comes on its
// standard input: so the cache can lose the content in between. It ends with 0, or tells
// what differs and which operations came before.
package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// An exerciser does one operation and says what it was, and compares all at the end.
type exerciser interface {
	step(r *rand.Rand) (what string, err error)
	rest() error // closes what is open
	check() error
}

func run(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("usage: exercise content|tree|crowd|crowded PATH SEED OPERATIONS")
	}
	seed, err := strconv.ParseUint(args[2], 10, 64)
	if err != nil {
		return err
	}
	ops, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	var e exerciser
	switch args[0] {
	case "content":
		e, err = newContent(args[1])
	case "tree":
		e, err = newTree(args[1])
	case "crowd":
		e, err = newCrowd(args[1])
	case "crowded":
		e = crowded{args[1]}
	default:
		err = fmt.Errorf("what is %q?", args[0])
	}
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(seed, 0))
	in := bufio.NewScanner(os.Stdin)
	var past []string
	for i := range ops {
		what, err := e.step(r)
		past = append(past, fmt.Sprintf("%d: %s", i, what))
		past = past[max(0, len(past)-30):]
		if err == nil && r.IntN(500) == 0 {
			if err = e.rest(); err == nil {
				fmt.Println("pause")
				in.Scan()
				past = append(past, "paused")
			}
		}
		if err != nil {
			for _, p := range past {
				fmt.Println(p)
			}
			return fmt.Errorf("seed %d: %w", seed, err)
		}
	}
	if err := e.rest(); err != nil {
		return err
	}
	return e.check()
}
