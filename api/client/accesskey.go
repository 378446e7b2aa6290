package client

import (
	"context"
	"net/http"
	"net/url"

	"satchel/api"
)

// AddAccessKey makes an access key for an S3 client. Its secret is in the
// answer, this once.
func (c *Client) AddAccessKey(ctx context.Context, name string) (api.AccessKey, error) {
	var k api.AccessKey
	in := struct {
		Name string `json:"name"`
	}{name}
	err := c.call(ctx, request{method: http.MethodPost, path: "/access-keys", once: true}, in, &k)
	return k, err
}

// AccessKeys is the account's access keys, without their secrets.
func (c *Client) AccessKeys(ctx context.Context) ([]api.AccessKey, error) {
	var all []api.AccessKey
	err := c.call(ctx, request{method: http.MethodGet, path: "/access-keys"}, nil, &all)
	return all, err
}

// RotateAccessKey replaces an access key's secret, which is in the answer, this once.
func (c *Client) RotateAccessKey(ctx context.Context, key string) (api.AccessKey, error) {
	var k api.AccessKey
	err := c.call(ctx, request{method: http.MethodPost, path: "/access-keys/" + url.PathEscape(key) + "/rotate", once: true}, nil, &k)
	return k, err
}

// RevokeAccessKey ends an access key.
func (c *Client) RevokeAccessKey(ctx context.Context, key string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: "/access-keys/" + url.PathEscape(key)}, nil, nil)
}
