package chunk

import (
	"cmp"
	"time"

	"satchel/api"
)

// askAgain is how often who sends a content for long asks for all of it again: the server takes what no version names a day after
// it came, and removes it a day after that.
const askAgain = 6 * time.Hour

// Offers is the chunks that a server was offered on the way to a commit. It keeps what it is asked for. The zero value has none; for one goroutine.
type Offers struct {
	Missing func([]api.Hash) ([]api.Hash, error) // asks the server for at most [api.MaxMissing]
	Every   time.Duration                        // between two questions for all of them; 0: askAgain

	all   map[api.Hash]bool
	asked time.Time
}

// Add tells whether a chunk is a new one. When it is time it asks for all of those before; the error is of that, and the chunk counts as offered. What
// the server lacks then is not told: its commit says so, and what is offered then is asked for anew.
func (o *Offers) Add(h api.Hash) (isNew bool, err error) {
	switch {
	case o.all == nil:
		o.all, o.asked = map[api.Hash]bool{}, time.Now()
	case time.Since(o.asked) >= cmp.Or(o.Every, askAgain):
		err = o.again()
	}
	isNew = !o.all[h]
	o.all[h] = true
	return isNew, err
}

func (o *Offers) again() error {
	some := make([]api.Hash, 0, min(len(o.all), api.MaxMissing))
	ask := func() error {
		_, err := o.Missing(some)
		some = some[:0]
		return err
	}
	for h := range o.all {
		if some = append(some, h); len(some) == cap(some) {
			if err := ask(); err != nil {
				return err
			}
		}
	}
	if len(some) > 0 {
		if err := ask(); err != nil {
			return err
		}
	}
	o.asked = time.Now()
	return nil
}

// Forget makes all chunks new ones.
func (o *Offers) Forget() { o.all = nil }
