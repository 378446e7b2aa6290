package client

import (
	"context"
	"net/http"

	"satchel/api"
)

// AddAppPassword makes a password for a program. It is in the answer, this once.
func (c *Client) AddAppPassword(ctx context.Context, name string) (api.AppPassword, error) {
	var p api.AppPassword
	in := struct {
		Name string `json:"name"`
	}{name}
	err := c.call(ctx, request{method: http.MethodPost, path: "/app-passwords", once: true}, in, &p)
	return p, err
}

// AppPasswords is the account's app passwords, without what they are.
func (c *Client) AppPasswords(ctx context.Context) ([]api.AppPassword, error) {
	var all []api.AppPassword
	err := c.call(ctx, request{method: http.MethodGet, path: "/app-passwords"}, nil, &all)
	return all, err
}

// RevokeAppPassword ends an app password.
func (c *Client) RevokeAppPassword(ctx context.Context, id api.ID) error {
	return c.call(ctx, request{method: http.MethodDelete, path: "/app-passwords/" + id.String()}, nil, nil)
}
