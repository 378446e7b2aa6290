package postgres

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"satchel/api"
	"satchel/storage/postgres/pgtest"
)

// TestLineHasAnEnd: while all connections are at work, so many wait, and the others are told to come back. When they
// are free again, those who waited are served, and so is everyone.
func TestLineHasAnEnd(t *testing.T) {
	const connections, more = 2, 30
	url := pgtest.New(t).App
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	db, err := Open(t.Context(), url+separator+"pool_max_conns=2")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	free, holding := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			err := db.As(t.Context(), api.ID{}, func(context.Context, *Tx) error {
				holding <- struct{}{}
				<-free
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	for range connections {
		<-holding
	}
	answers := make(chan error, connections*linePerConn+more)
	for range cap(answers) {
		all.Go(func() { answers <- db.Ping(t.Context()) })
	}
	for i := range more { // who is refused hears it while all the others wait
		err := <-answers
		e, ok := errors.AsType[*api.Error](err)
		if !ok || e.Kind != api.Unavailable || e.RetryAfter <= 0 {
			t.Fatalf("answer %d is %v, and not that it is busy", i, err)
		}
	}
	close(free)
	for range connections * linePerConn {
		if err := <-answers; err != nil {
			t.Errorf("one who waited: %v", err)
		}
	}
	all.Wait()
	if n := db.pool.waiting.Load(); n != 0 {
		t.Errorf("%d are still counted in the line", n)
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// TestPoolLeavesRoom: on a machine of many processors others find a connection too, unless somebody says how many there are.
func TestPoolLeavesRoom(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, test := range []struct {
		processors int
		url        string
		want       int32
	}{{1, "", 20}, {8, "", 32}, {25, "", 64}, {200, "", 64}, {200, "?pool_max_conns=300", 300}} {
		runtime.GOMAXPROCS(test.processors)
		config, err := configure("postgres://satchel_app@127.0.0.1/satchel" + test.url)
		if err != nil || config.MaxConns != test.want {
			t.Errorf("%d processors and %q: %d connections, want %d; %v", test.processors, test.url, config.MaxConns, test.want, err)
		}
	}
}

// TestLockHasAnEnd: who waits for what another one holds is told to come back, and then it is as if he had not come.
func TestLockHasAnEnd(t *testing.T) {
	config, err := configure(pgtest.New(t).App)
	if err != nil {
		t.Fatal(err)
	}
	if limit := config.ConnConfig.RuntimeParams["lock_timeout"]; limit != "20s" {
		t.Errorf("the limit is %q", limit)
	}
	config.ConnConfig.RuntimeParams["lock_timeout"] = "50ms"
	db, err := open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	hold := func(ctx context.Context, tx *Tx) error {
		_, err := tx.conn.Exec(ctx, `SELECT pg_advisory_xact_lock(4711)`)
		return err
	}
	err = db.As(t.Context(), api.ID{}, func(ctx context.Context, tx *Tx) error {
		if err := hold(ctx, tx); err != nil {
			return err
		}
		waited := db.As(ctx, api.ID{}, hold)
		if e, ok := errors.AsType[*api.Error](waited); !ok || e.Kind != api.Unavailable || e.RetryAfter <= 0 {
			t.Errorf("who waited heard %v", waited)
		}
		return nil
	})
	if err == nil {
		err = db.As(t.Context(), api.ID{}, hold)
	}
	if err != nil {
		t.Error(err)
	}
}

// TestSilenceBreaks: a peer that takes a question and never answers does not hold who asked.
func TestSilenceBreaks(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dial := impatiently((&net.Dialer{}).DialContext, 50*time.Millisecond)
	conn, err := dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = conn.Read(make([]byte, 1))
	if err == nil {
		t.Fatal("something was read")
	}
	if kind := api.KindOf(classify(err)); kind != api.Unavailable {
		t.Errorf("%v is %q", err, kind)
	}
}
