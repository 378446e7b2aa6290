package main

import "fmt"

type psqlURLCmd struct{}

// Run prints the URL. That of the private PostgreSQL works for root, and for
// the user that owns it or runs the server, while a server runs.
func (cmd *psqlURLCmd) Run(p *program) error {
	db, err := p.openAsItIs(p.ctx)
	if err != nil {
		return err
	}
	defer db.close()
	if db.server != nil && db.server.Done() != nil {
		fmt.Fprintln(p.stderr, "no server runs: the URL works while one does")
	}
	return p.answer(map[string]string{"url": db.app}, "%s", db.app)
}
