package postgres

import (
	"context"
	"net/netip"
	"os"
	"os/user"
)

// originKey is of the address that a request comes from. It labels rows of the
// audit log and decides nothing, so it may travel in a context.
type originKey struct{}

// origin is where a transaction's wish comes from.
type origin struct {
	request bool
	from    netip.Addr
}

// FromRequest notes that what is done with the context is a request's, and from
// where it came, for the audit log.
func FromRequest(ctx context.Context, from netip.Addr) context.Context {
	return context.WithValue(ctx, originKey{}, origin{request: true, from: from.Unmap().WithZone("")})
}

func originOf(ctx context.Context) origin {
	o, _ := ctx.Value(originKey{}).(origin)
	return o
}

func (o origin) via() string {
	if o.request {
		return "request"
	}
	return "server"
}

func (o origin) address() string {
	if !o.from.IsValid() {
		return ""
	}
	return o.from.String()
}

// operatorName is who gives a command: the one who became root, if somebody did.
func operatorName() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}
