package client

import (
	"context"
	"net/http"

	"satchel/api"
)

// Login makes a new device of the account. Wrong email or password are
// [api.Unauthenticated] with the server's words; too many tries are
// [api.RateLimited].
func Login(ctx context.Context, server, email, password, device string) (api.Credentials, error) {
	var cred api.Credentials
	err := openCall(ctx, server, "/login", api.Login{Email: email, Password: password, Device: device}, &cred)
	return cred, err
}

// Logout ends the device's session on the server.
func (c *Client) Logout(ctx context.Context) error {
	return c.call(ctx, request{method: http.MethodPost, path: "/logout"}, nil, nil)
}

// Whoami is the account and the device, without secret and token.
func (c *Client) Whoami(ctx context.Context) (api.Credentials, error) {
	var cred api.Credentials
	err := c.call(ctx, request{method: http.MethodGet, path: "/whoami"}, nil, &cred)
	return cred, err
}

// Devices is the account's devices.
func (c *Client) Devices(ctx context.Context) ([]api.Device, error) {
	var devices []api.Device
	err := c.call(ctx, request{method: http.MethodGet, path: "/devices"}, nil, &devices)
	return devices, err
}

// RevokeDevice ends another device's session, or this one's.
func (c *Client) RevokeDevice(ctx context.Context, device api.ID) error {
	return c.call(ctx, request{method: http.MethodDelete, path: "/devices/" + device.String()}, nil, nil)
}

// Drives is the drives that the account may see.
func (c *Client) Drives(ctx context.Context) ([]api.DriveInfo, error) {
	var drives []api.DriveInfo
	err := c.call(ctx, request{method: http.MethodGet, path: "/drives"}, nil, &drives)
	return drives, err
}

// Drive binds the drive of an id, or the caller's own: "home". It makes no
// call; whether there is such a drive shows when it is used.
func (c *Client) Drive(which string) *Drive {
	return &Drive{c: c, which: which}
}

// BeginDevice asks to log this machine in: somebody confirms the code that it
// answers on the server's page /device, and meanwhile [PollDevice] asks whether
// that has happened.
func BeginDevice(ctx context.Context, server, device string) (api.DeviceCode, error) {
	var code api.DeviceCode
	err := openCall(ctx, server, "/device/code", map[string]string{"device": device}, &code)
	return code, err
}

// PollDevice is what became of [BeginDevice]. It is to be asked no more often
// than the code's interval says.
func PollDevice(ctx context.Context, server string, code api.DeviceCode) (api.DeviceAnswer, error) {
	var answer api.DeviceAnswer
	err := openCall(ctx, server, "/device/token", map[string]string{"device_code": code.Secret}, &answer)
	return answer, err
}

// openCall posts once, as nobody.
func openCall(ctx context.Context, server, path string, in, out any) error {
	c, err := New(server, api.Credentials{}, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.call(ctx, request{method: http.MethodPost, path: path, open: true, once: true}, in, out)
}
