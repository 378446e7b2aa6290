package cache

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"satchel/api"
	"satchel/api/client"
	"satchel/integration/live"
)

// A device's token runs out while it is offline, by its own clock or by the server's alone: what it has not
// sent is kept and sent, and nobody is asked anything. When its login has ended the work is kept too, the status says what to
// do, and after that all is sent.
func TestTokenRunsOutWhileOffline(t *testing.T) {
	s := live.New(t)
	u := s.User()
	v := newDevice(t, u, s.URL, "laptop", rand.New(rand.NewPCG(1, 1)))
	must(t, v.write("letter", "first"))
	mustQuiet(t, v)
	offline := func(text string) {
		t.Helper()
		v.wire.cut()
		must(t, v.write("letter", text))
		v.settled()
		v.end()
		v.wire.mend()
	}
	sent := func(text string) {
		t.Helper()
		v.start()
		if truth := mustQuiet(t, v); truth["letter"].content != text || len(truth) != 1 {
			t.Errorf("the server has\n%v", truth)
		}
		if p := v.d.Status().Problem; p != "" {
			t.Errorf("problem: %s", p)
		}
	}
	good := v.cred

	offline("sent with a token that ran out")
	cred := good
	cred.Token.Expires = time.Now().Add(-time.Hour)
	v.signIn(s.URL, cred)
	sent("sent with a token that ran out")

	offline("sent with a token that the server takes for too old")
	cred.Token = api.Token{Token: "not " + good.Token.Token, Expires: time.Now().Add(time.Hour)}
	v.signIn(s.URL, cred)
	sent("sent with a token that the server takes for too old")

	offline("sent after a new login")
	c, err := client.New(s.URL, good, nil)
	must(t, err)
	must(t, c.Logout(t.Context()))
	c.Close()
	v.start()
	soon(t, func() bool { return strings.Contains(v.d.Status().Problem, "log in again (satchel login)") })
	if st := v.d.Status(); st.PendingMutations != 1 || st.Connected {
		t.Errorf("without a login: %+v", st)
	}
	if text, err := v.read("letter"); err != nil || text != "sent after a new login" {
		t.Errorf("without a login the letter has %q, %v", text, err)
	}
	v.end()
	v.wire.mend()
	fresh, err := client.Login(t.Context(), s.URL, u.Email, u.Password, "laptop")
	must(t, err)
	v.signIn(s.URL, fresh)
	sent("sent after a new login")
}
