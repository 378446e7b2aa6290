package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"satchel/api"
	"satchel/api/client"
)

// settlePatience is how long a command waits until the folders that are mounted on this machine show what it changed on the server.
const settlePatience = 5 * time.Second

// settle returns when the folders of this machine in which a drive is mounted show what a command changed on the server, so that the next program finds
// it there. One that is offline, or takes too long, is told of.
func (sh *shell) settle(n news) {
	ctx, cancel := context.WithTimeout(sh.ctx, settlePatience)
	defer cancel()
	var waiting sync.WaitGroup
	var telling sync.Mutex
	for _, m := range sh.places.registered() {
		waiting.Go(func() {
			if !m.alive() {
				return
			}
			_, err := m.ask(ctx, controlRequest{Op: opAwait, News: &n}, nil)
			if sh.json || api.KindOf(err) != api.Unavailable && ctx.Err() == nil {
				return
			}
			telling.Lock()
			defer telling.Unlock()
			fmt.Fprintf(sh.stderr, "note: it is on the server, and %s does not show it yet\n", m.Mountpoint)
		})
	}
	waiting.Wait()
}

// settleBinds is settle for what others share.
func (sh *shell) settleBinds(c *client.Client) {
	if len(sh.places.registered()) == 0 {
		return
	}
	if home, err := c.Drive("home").Info(sh.ctx); err == nil {
		sh.settle(news{Drive: home.ID, Binds: true})
	}
}
