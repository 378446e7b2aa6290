package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"satchel/api"
	"satchel/api/auth"
)

// Asked is the part of an input that notes the request, for where it comes from
// and what it calls this server. It is exported as InDrive is.
type Asked struct{ request *http.Request }

// Resolve notes the request, whose body has been read by then.
func (a *Asked) Resolve(ctx huma.Context) []error {
	a.request, _ = humago.Unwrap(ctx)
	return nil
}

type loginInput struct {
	Asked
	Body api.Login
}

type tokenInput struct {
	Body struct {
		Secret string `json:"secret"`
	}
}

type deviceCodeInput struct {
	Asked
	Body struct {
		Device string `json:"device"` // a name for people, such as the host's
	}
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
		return answer(s.auth.LoginDevice(ctx, address(in.request), in.Body))
	})
	open(s, v1, post("device-code", "/device/code", "Ask to log a device in that somebody confirms on the page /device"), func(ctx context.Context, in *deviceCodeInput) (*body[api.DeviceCode], error) {
		return answer(s.auth.BeginDevice(ctx, address(in.request), in.Body.Device))
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
