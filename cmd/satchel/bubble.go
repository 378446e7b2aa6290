package main

import (
	"context"
	"errors"
	"html"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"
)

// bubble is a notice of the desktop's (Desktop Notifications Specification 1.2).
type bubble struct {
	title, text string
	urgent      bool // it stays until it is taken away
}

// bubbles are shown by whatever serves org.freedesktop.Notifications on the
// session's bus. They are for one goroutine.
type bubbles struct {
	conn   *dbus.Conn // nil: not asked yet, or gone
	markup bool       // the server reads tags in texts
}

const (
	notifications = "org.freedesktop.Notifications"
	busPatience   = 5 * time.Second
)

// hasSessionBus tells whether there is one: without, libraries would start
// one, which nobody asked for.
func hasSessionBus() bool {
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return true
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	_, err := os.Stat(filepath.Join(dir, "bus"))
	return filepath.IsAbs(dir) && err == nil
}

// server is who shows bubbles. The bus may have been restarted since the last one.
func (b *bubbles) server(ctx context.Context) (dbus.BusObject, error) {
	if b.conn != nil && !b.conn.Connected() {
		b.close()
	}
	if b.conn == nil {
		if !hasSessionBus() {
			return nil, errors.New("the session has no bus")
		}
		conn, err := dbus.ConnectSessionBus()
		if err != nil {
			return nil, err
		}
		b.conn = conn
		var can []string
		if err := b.object().CallWithContext(ctx, notifications+".GetCapabilities", 0).Store(&can); err != nil {
			b.close()
			return nil, err
		}
		b.markup = slices.Contains(can, "body-markup")
	}
	return b.object(), nil
}

func (b *bubbles) object() dbus.BusObject {
	return b.conn.Object(notifications, "/org/freedesktop/Notifications")
}

// show shows a bubble and returns its number.
func (b *bubbles) show(ctx context.Context, v bubble) (id uint32, err error) {
	ctx, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	server, err := b.server(ctx)
	if err != nil {
		return 0, err
	}
	if b.markup {
		v.text = html.EscapeString(v.text)
	}
	urgency, expire := byte(1), int32(-1)
	if v.urgent {
		urgency, expire = 2, 0
	}
	err = server.CallWithContext(ctx, notifications+".Notify", 0, "Satchel", uint32(0), "folder-remote", v.title, v.text,
		[]string{}, map[string]dbus.Variant{"urgency": dbus.MakeVariant(urgency)}, expire).Store(&id)
	return id, err
}

// take takes a bubble away.
func (b *bubbles) take(ctx context.Context, id uint32) error {
	ctx, cancel := context.WithTimeout(ctx, busPatience)
	defer cancel()
	server, err := b.server(ctx)
	if err != nil {
		return err
	}
	return server.CallWithContext(ctx, notifications+".CloseNotification", 0, id).Err
}

func (b *bubbles) close() {
	if b.conn != nil {
		b.conn.Close()
		b.conn = nil
	}
}
