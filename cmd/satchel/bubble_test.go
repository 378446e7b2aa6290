package main

import (
	"bufio"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"

	"satchel/cache"
	"satchel/integration/require"
)

// shown is a call that the desktop got.
type shown struct {
	App, Title, Text string
	Urgency          byte
	Closed           uint32 // or the number of the one that it is to take away
}

// desktop serves org.freedesktop.Notifications.
type desktop struct{ calls chan shown }

func (d desktop) GetCapabilities() ([]string, *dbus.Error) {
	return []string{"body", "body-markup"}, nil
}

func (d desktop) Notify(app string, _ uint32, _, title, text string, _ []string, hints map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	urgency, _ := hints["urgency"].Value().(byte)
	d.calls <- shown{App: app, Title: title, Text: text, Urgency: urgency}
	return 7, nil
}

func (d desktop) CloseNotification(id uint32) *dbus.Error {
	d.calls <- shown{Closed: id}
	return nil
}

// sessionBus starts a bus that this test's session has from then on.
func sessionBus(t *testing.T) *dbus.Conn {
	t.Helper()
	daemon := exec.Command(require.Tool(t, "dbus-daemon"), "--session", "--nofork", "--nopidfile", "--print-address", "--address=unix:dir="+t.TempDir())
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		daemon.Process.Kill()
		daemon.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", strings.TrimSpace(address))
	conn, err := dbus.Connect(strings.TrimSpace(address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestNoticesReachTheDesktop(t *testing.T) {
	conn := sessionBus(t)
	d := desktop{make(chan shown, 16)}
	if err := conn.Export(d, "/org/freedesktop/Notifications", notifications); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(notifications, 0); err != nil {
		t.Fatal(err)
	}
	n := newNotices(slog.New(slog.DiscardHandler))
	go n.run(t.Context())
	next := func() shown {
		select {
		case s := <-d.calls:
			return s
		case <-time.After(30 * time.Second):
			t.Fatal("the desktop heard nothing")
			return shown{}
		}
	}

	n.tell([]cache.Event{{What: cache.EventConflict, Path: "a<b>.txt", Now: "a (conflict)", Why: "another device was first"}})
	n.tell([]cache.Event{{What: cache.EventKept, Path: "c", Why: "another device changed it"}})
	s := next()
	if s.App != "Satchel" || s.Title != "Satchel kept both" || !strings.Contains(s.Text, "a&lt;b&gt;.txt") || !strings.Contains(s.Text, "\nc: not deleted") || s.Urgency != 1 {
		t.Errorf("of two conflicts the desktop shows %+v", s)
	}

	n.tellFull(true)
	n.tellFull(false) // for a moment only: nobody hears of it
	n.tellFull(true)
	if s := next(); s.Title != "The disk is full" || s.Urgency != 2 {
		t.Errorf("of a full disk the desktop shows %+v", s)
	}
	n.tellFull(true) // it stays as it is
	n.tellFull(false)
	if s := next(); s.Closed != 7 {
		t.Errorf("when there is room the desktop is told %+v", s)
	}
}

// Without a desktop nothing is started and nothing waits.
func TestNoticesWithoutDesktop(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	var b bubbles
	if _, err := b.show(t.Context(), bubble{title: "x"}); err == nil {
		t.Error("a notice was shown to nobody")
	}
}

func TestMeteredConnections(t *testing.T) {
	conn := sessionBus(t)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", os.Getenv("DBUS_SESSION_BUS_ADDRESS"))
	properties, err := prop.Export(conn, networkManagerPath, prop.Map{networkManager: {"Metered": {Value: uint32(meteredYes), Writable: true, Emit: prop.EmitTrue}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(networkManager, 0); err != nil {
		t.Fatal(err)
	}
	told := make(chan bool, 16)
	go watchMetered(t.Context(), func(yes bool) { told <- yes }, slog.New(slog.DiscardHandler))
	next := func(want bool) {
		t.Helper()
		select {
		case got := <-told:
			if got != want {
				t.Errorf("told %v, want %v", got, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("nothing was told")
		}
	}
	next(true)
	properties.SetMust(networkManager, "Metered", uint32(4)) // a guess that it is not
	next(false)
	properties.SetMust(networkManager, "Metered", uint32(meteredGuessYes))
	next(true)
}
