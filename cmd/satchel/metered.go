package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/godbus/dbus/v5"
)

// NetworkManager's object on the system bus, and its property that says whether the
// connection is paid by the byte (NMMetered: yes, or a guess that it is).
const (
	networkManager     = "org.freedesktop.NetworkManager"
	networkManagerPath = "/org/freedesktop/NetworkManager"
	meteredYes         = 1
	meteredGuessYes    = 3
)

// watchMetered tells whether the connection is paid by the byte, now and when
// that changes, until ctx ends. Where there is no NetworkManager it tells nothing.
func watchMetered(ctx context.Context, tell func(bool), log *slog.Logger) {
	if os.Getenv("DBUS_SYSTEM_BUS_ADDRESS") == "" {
		if _, err := os.Stat("/run/dbus/system_bus_socket"); err != nil {
			return
		}
	}
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		log.Debug("metered connections are not known", "err", err)
		return
	}
	defer conn.Close()
	changes := make(chan *dbus.Signal, 16)
	conn.Signal(changes)
	if err := conn.AddMatchSignal(dbus.WithMatchObjectPath(networkManagerPath),
		dbus.WithMatchInterface("org.freedesktop.DBus.Properties"), dbus.WithMatchMember("PropertiesChanged")); err != nil {
		log.Debug("metered connections are not known", "err", err)
		return
	}
	was := false
	heard := func(v dbus.Variant) {
		n, _ := v.Value().(uint32)
		if now := n == meteredYes || n == meteredGuessYes; now != was {
			was = now
			log.Info("the connection", "metered", now)
			tell(now)
		}
	}
	if v, err := conn.Object(networkManager, networkManagerPath).GetProperty(networkManager + ".Metered"); err == nil {
		heard(v)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case s, ok := <-changes:
			if !ok {
				return
			}
			if len(s.Body) < 2 || s.Body[0] != networkManager {
				continue
			}
			if changed, ok := s.Body[1].(map[string]dbus.Variant); ok {
				if v, ok := changed["Metered"]; ok {
					heard(v)
				}
			}
		}
	}
}
