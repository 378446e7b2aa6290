package pgtest

import (
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Link makes a URL that leads to the same database over connections that can be cut, all at once and as often as need be: both ends
// hear of it at once.
func Link(t testing.TB, to string) (linked string, cut func()) {
	t.Helper()
	config, err := pgx.ParseConfig(to)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "link-") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	network, address := pgconn.NetworkAddress(config.Host, config.Port)
	l, err := net.Listen(network, filepath.Join(dir, filepath.Base(address)))
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	cut = func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			c.Close()
		}
		conns = nil
	}
	t.Cleanup(func() {
		l.Close()
		cut()
		all.Wait()
		os.RemoveAll(dir)
	})
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, address)
			if err != nil {
				client.Close()
				continue
			}
			mu.Lock()
			conns = append(conns, client, server)
			mu.Unlock()
			for from, to := range map[net.Conn]net.Conn{client: server, server: client} {
				all.Go(func() {
					io.Copy(to, from)
					client.Close()
					server.Close()
				})
			}
		}
	})
	query := u.Query()
	query.Set("host", dir)
	u.RawQuery = query.Encode()
	return u.String(), cut
}
