package server

import (
	"context"
	"net/http"
	"net/netip"

	"github.com/danielgtaylor/huma/v2"

	"satchel/api"
	"satchel/api/auth"
)

type loginInput struct {
	Body api.Login
	from netip.Addr
}

// Resolve notes where the login comes from.
func (in *loginInput) Resolve(ctx huma.Context) []error {
	in.from = address(&http.Request{RemoteAddr: ctx.RemoteAddr()})
	return nil
}

type tokenInput struct {
	Body struct {
		Secret string `json:"secret"`
	}
}

type deviceCodeInput struct {
	Body struct {
		Device string `json:"device"` // a name for people, such as the host's
	}
	from netip.Addr
}

// Resolve notes where the device is.
func (in *deviceCodeInput) Resolve(ctx huma.Context) []error {
	in.from = address(&http.Request{RemoteAddr: ctx.RemoteAddr()})
	return nil
}

type devicePollInput struct {
	Body struct {
		Code string `json:"device_code"`
	}
}

type deviceInput struct {
	Device api.ID `path:"device"`
}

func (s *server) accountRoutes(v1 huma.API) {
	open(s, v1, post("login", "/login", "Log a device in"), func(ctx context.Context, in *loginInput) (*body[api.Credentials], error) {
		return answer(s.auth.LoginDevice(ctx, in.from, in.Body))
	})
	open(s, v1, post("device-code", "/device/code", "Ask to log a device in that somebody confirms on the page /device"), func(ctx context.Context, in *deviceCodeInput) (*body[api.DeviceCode], error) {
		return answer(s.auth.BeginDevice(ctx, in.from, in.Body.Device))
	})
	open(s, v1, post("device-token", "/device/token", "Whether somebody has confirmed the device"), func(ctx context.Context, in *devicePollInput) (*body[api.DeviceAnswer], error) {
		return answer(s.auth.PollDevice(ctx, in.Body.Code))
	})
	open(s, v1, post("token", "/token", "Get a token for a device's secret"), func(ctx context.Context, in *tokenInput) (*body[api.Token], error) {
		return answer(s.auth.Token(ctx, in.Body.Secret))
	})
	known(s, v1, post("logout", "/logout", "End this session"), func(ctx context.Context, id auth.Identity, _ *struct{}) (*struct{}, error) {
		return nil, s.auth.Logout(ctx, id)
	})
	known(s, v1, get("whoami", "/whoami", "Who the caller is"), func(_ context.Context, id auth.Identity, _ *struct{}) (*body[api.Credentials], error) {
		return answer(api.Credentials{User: id.User, Email: id.Email, Name: id.UserName, Role: id.Role, Device: id.Session}, nil)
	})
	known(s, v1, get("devices", "/devices", "The devices that the caller is logged in on"), func(ctx context.Context, id auth.Identity, _ *struct{}) (*body[[]api.Device], error) {
		return answer(s.auth.Devices(ctx, id))
	})
	revoke := huma.Operation{OperationID: "revoke-device", Method: http.MethodDelete, Path: "/v1/devices/{device}", Summary: "End a device's session"}
	known(s, v1, revoke, func(ctx context.Context, id auth.Identity, in *deviceInput) (*struct{}, error) {
		return nil, s.auth.Revoke(ctx, id, in.Device)
	})
}
