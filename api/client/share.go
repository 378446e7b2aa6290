package client

import (
	"context"
	"net/http"
	"net/url"

	"satchel/api"
)

// Shares is who else may use a path of the drive; "": all of its paths.
func (d *Drive) Shares(ctx context.Context, path string) (api.Shares, error) {
	var all api.Shares
	err := d.get(ctx, d.path("/shares"), url.Values{"path": {api.Name(path).Escape()}}, &all)
	return all, err
}

// SharePublic changes whether everybody may read a path. It returns who else
// may use it then.
func (d *Drive) SharePublic(ctx context.Context, s api.SharePublic) (api.Shares, error) {
	s.Path = api.Name(s.Path).Escape()
	return d.share(ctx, "/shares/public", s)
}

// ShareWith changes what a user may do with a path. It returns who else may use
// it then. There being no user with the address is [api.NotFound].
func (d *Drive) ShareWith(ctx context.Context, s api.ShareWith) (api.Shares, error) {
	s.Path = api.Name(s.Path).Escape()
	return d.share(ctx, "/shares/people", s)
}

func (d *Drive) share(ctx context.Context, path string, s any) (all api.Shares, err error) {
	err = d.c.call(ctx, request{method: http.MethodPost, path: d.path(path)}, s, &all)
	return all, err
}

// Theirs is what others share with the account.
func (c *Client) Theirs(ctx context.Context) (all []api.Theirs, err error) {
	err = c.call(ctx, request{method: http.MethodGet, path: "/shared"}, nil, &all)
	return all, err
}

// BindTheirs shows a folder that another one shares in the account's drive. A place that is taken is [api.Exists].
func (c *Client) BindTheirs(ctx context.Context, b api.BindTheirs) (at api.BoundAt, err error) {
	b.Path = api.Name(b.Path).Escape()
	err = c.call(ctx, request{method: http.MethodPost, path: "/shared/binds", once: true}, b, &at)
	return at, err
}

// Unbind takes such a folder out of the account's drive again; what is in it is untouched.
func (c *Client) Unbind(ctx context.Context, bind api.ID) error {
	return c.call(ctx, request{method: http.MethodDelete, path: "/shared/binds/" + bind.String()}, nil, nil)
}

// AddLink makes a link.
func (d *Drive) AddLink(ctx context.Context, l api.NewLink) (made api.Link, err error) {
	l.Path = api.Name(l.Path).Escape()
	err = d.c.call(ctx, request{method: http.MethodPost, path: d.path("/links"), once: true}, l, &made)
	return made, err
}

// RemoveLink ends a link. One that is not there is [api.NotFound].
func (d *Drive) RemoveLink(ctx context.Context, id api.ID) error {
	return d.c.call(ctx, request{method: http.MethodDelete, path: d.path("/links/" + id.String())}, nil, nil)
}
