package integration

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"sync/atomic"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	"github.com/rs/zerolog"
)

// A link is a connection between two of Satchel's parts that can be disturbed.
type link struct {
	addr  string // what the one part connects to, instead of the other
	proxy *toxiproxy.Proxy
}

// newLink leads to a TCP address, undisturbed at first.
func newLink(t *testing.T, name, upstream string) *link {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := toxiproxy.NewProxy(server, name, "127.0.0.1:0", upstream)
	must(t, p.Start())
	t.Cleanup(p.Stop)
	return &link{addr: p.Listen, proxy: p}
}

// cut ends all connections and takes no new ones, until heal.
func (l *link) cut() error {
	l.proxy.Stop()
	return nil
}

// disturb adds a toxic to both directions, until heal: see toxiproxy's
// documentation for their names and attributes.
func (l *link) disturb(kind string, attributes map[string]any) error {
	for _, stream := range []string{"upstream", "downstream"} {
		b, err := json.Marshal(map[string]any{"name": kind + stream, "type": kind, "stream": stream, "attributes": attributes})
		if err != nil {
			return err
		}
		if _, err := l.proxy.Toxics.AddToxicJson(bytes.NewReader(b)); err != nil {
			return err
		}
	}
	return nil
}

func (l *link) heal(t *testing.T) {
	t.Helper()
	l.proxy.Toxics.ResetToxics(t.Context())
	if !l.proxy.Enabled {
		must(t, l.proxy.Start())
	}
}

// corruptToxic changes a byte now and then.
type corruptToxic struct {
	Every int64 `json:"every"` // bytes between two changed ones
	seen  atomic.Int64
}

func (c *corruptToxic) Pipe(stub *toxics.ToxicStub) {
	for {
		select {
		case <-stub.Interrupt:
			return
		case chunk := <-stub.Input:
			if chunk == nil {
				stub.Close()
				return
			}
			n := int64(len(chunk.Data))
			if before := c.seen.Add(n) - n; before/c.Every != (before+n)/c.Every {
				chunk.Data[n/2] ^= 0x20
			}
			stub.Output <- chunk
		}
	}
}

func init() {
	toxics.Register("corrupt", new(corruptToxic))
	zerolog.SetGlobalLevel(zerolog.Disabled) // some toxics tell what they do on standard error
}

// bridge makes a Unix socket reachable by TCP; socket names it for each
// connection.
func bridge(t *testing.T, socket func() string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				server, err := net.Dial("unix", socket())
				if err != nil {
					return
				}
				defer server.Close()
				go func() {
					defer client.Close()
					io.Copy(client, server)
				}()
				io.Copy(server, client)
			}()
		}
	}()
	return l.Addr().String()
}
