package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"satchel/api"
	"satchel/cmd/internal/cli"
)

// add queues a mutation, and commits when there are many.
func (p *putter) add(ctx context.Context, local string, m api.Mutation) error {
	m.Time = time.Now().UnixNano()
	p.queue = append(p.queue, queued{m, local})
	if m.Version != nil {
		p.bytes += m.Version.Size
	}
	if len(p.queue) >= batchSize || p.bytes >= batchBytes {
		return p.commit(ctx)
	}
	return nil
}

// commit applies what is queued, once its content is on the server.
func (p *putter) commit(ctx context.Context) error {
	if err := p.up.finish(); err != nil {
		return err
	}
	if len(p.queue) == 0 {
		return nil
	}
	outcomes, err := p.tree.commit(ctx, p.mutations())
	if api.KindOf(err) == api.MissingChunks {
		// The server had them when it was asked and collected them since.
		if err = p.sendAgain(); err == nil {
			outcomes, err = p.tree.commit(ctx, p.mutations())
		}
	}
	if err != nil {
		return err
	}
	for i, q := range p.queue {
		what := q.local
		if what == "" {
			what = cli.Printable(string(q.mutation.Name))
		}
		err := refusal(outcomes[i], what)
		if err != nil {
			p.tell(err)
		}
		if v := q.mutation.Version; v != nil && (err == nil || outcomes[i].Status == api.Adjusted) {
			p.did.Files++
			p.did.Bytes += v.Size
		}
	}
	p.queue, p.bytes = p.queue[:0], 0
	return nil
}

func (p *putter) mutations() []api.Mutation {
	all := make([]api.Mutation, len(p.queue))
	for i, q := range p.queue {
		all[i] = q.mutation
	}
	return all
}

// sendAgain reads the queued files once more and sends what the server lacks
// now.
func (p *putter) sendAgain() error {
	p.up.forget()
	for _, q := range p.queue {
		if q.mutation.Version == nil {
			continue
		}
		if q.local == "-" {
			return errors.New("the server lost a part of standard input: run the command again")
		}
		v, err := p.read(q.local)
		if err != nil {
			return fmt.Errorf("%s: %w", q.local, cause(err))
		}
		*q.mutation.Version = v
	}
	return p.up.finish()
}
