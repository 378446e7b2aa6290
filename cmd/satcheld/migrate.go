package main

import (
	"errors"
	"fmt"

	"satchel/migrations"
)

type migrateCmd struct{}

// Run brings the database to this version. What its role may not do it prints
// as SQL.
func (cmd *migrateCmd) Run(p *program) error {
	if err := p.exists(); err != nil {
		return err
	}
	db, err := p.migrateDatabase(p.ctx, true)
	if e, ok := errors.AsType[*migrations.MissingRoles](err); ok {
		fmt.Fprint(p.stdout, e.SQL)
		return fmt.Errorf("%w\nlet the database's administrator run the SQL above in this database, then run this again", e)
	}
	if err != nil {
		return err
	}
	defer db.close()
	return p.answer(map[string]bool{"up_to_date": true}, "the database is up to date")
}
