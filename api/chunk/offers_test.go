package chunk

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"satchel/api"
)

// Who sends for days asks for all of it every few hours, as many at once as he may.
func TestOffers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []int
		fails := error(nil)
		o := Offers{Missing: func(hashes []api.Hash) ([]api.Hash, error) {
			asked = append(asked, len(hashes))
			return hashes, fails
		}}
		add := func(n int, wantNew bool) {
			t.Helper()
			isNew, err := o.Add(api.Hash{byte(n), byte(n >> 8)})
			if isNew != wantNew || !errors.Is(err, fails) {
				t.Errorf("chunk %d: new %v, %v", n, isNew, err)
			}
		}
		for n := range 2*api.MaxMissing + 5 {
			add(n, true)
		}
		add(7, false)
		if len(asked) > 0 {
			t.Errorf("asked at once: %d", asked)
		}
		time.Sleep(askAgain)
		fails = errors.New("no answer")
		add(8, false)
		fails, asked = nil, nil
		add(9, false)
		add(10, false)
		if len(asked) != 3 || asked[0] != api.MaxMissing || asked[2] != 5 {
			t.Errorf("asked for %d", asked)
		}
		o.Forget()
		time.Sleep(askAgain)
		add(7, true)
		if len(asked) != 3 {
			t.Errorf("asked for what was forgotten: %d", asked)
		}
	})
}
