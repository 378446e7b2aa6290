package cache

import (
	"context"

	"satchel/api"
)

// together asks for directories in one request. Where what it says is older than what is known here there are no answers.
func (d *Drive) together(ctx context.Context, dirs []api.ID, epoch api.ID, limit int) (answers []api.Listed, old bool, err error) {
	answers, err = d.cfg.Remote.Listings(ctx, dirs, limit)
	if err == nil {
		old, err = d.outdated(&answers[0].Listing, epoch) // all are from one moment
	}
	if old || err != nil {
		answers = nil
	}
	return answers, old, err
}
