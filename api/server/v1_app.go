package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"satchel/api"
	"satchel/api/auth"
)

type nameInput struct {
	Body struct {
		Name string `json:"name" doc:"Of the program, for people"`
	}
}

type appPasswordInput struct {
	ID api.ID `path:"id"`
}

type keyInput struct {
	Key string `path:"key"`
}

// keyRoutes adds the pairs with which S3 clients sign.
func (s *server) keyRoutes(v1 huma.API) {
	known(s, v1, post("add-access-key", "/access-keys", "Make an access key; its secret is shown this once"), func(ctx context.Context, id auth.Identity, in *nameInput) (*body[api.AccessKey], error) {
		return answer(s.auth.AddAccessKey(ctx, id, in.Body.Name))
	})
	known(s, v1, get("access-keys", "/access-keys", "The caller's access keys, without their secrets"), func(ctx context.Context, id auth.Identity, _ *struct{}) (*body[[]api.AccessKey], error) {
		keys, err := s.auth.AccessKeys(ctx, id)
		return answer(notNil(keys), err)
	})
	known(s, v1, post("rotate-access-key", "/access-keys/{key}/rotate", "Replace the secret of an access key; the new one is shown this once"), func(ctx context.Context, id auth.Identity, in *keyInput) (*body[api.AccessKey], error) {
		return answer(s.auth.RotateAccessKey(ctx, id, in.Key))
	})
	revoke := huma.Operation{OperationID: "revoke-access-key", Method: http.MethodDelete, Path: "/v1/access-keys/{key}", Summary: "End an access key"}
	known(s, v1, revoke, func(ctx context.Context, id auth.Identity, in *keyInput) (*struct{}, error) {
		return nil, s.auth.RevokeAccessKey(ctx, id, in.Key)
	})
}

// appRoutes adds passwords for programs that know no tokens.
func (s *server) appRoutes(v1 huma.API) {
	known(s, v1, post("add-app-password", "/app-passwords", "Make an app password; it is shown this once"), func(ctx context.Context, id auth.Identity, in *nameInput) (*body[api.AppPassword], error) {
		return answer(s.auth.AddAppPassword(ctx, id, in.Body.Name))
	})
	known(s, v1, get("app-passwords", "/app-passwords", "The caller's app passwords, without what they are"), func(ctx context.Context, id auth.Identity, _ *struct{}) (*body[[]api.AppPassword], error) {
		return answer(s.auth.AppPasswords(ctx, id))
	})
	revoke := huma.Operation{OperationID: "revoke-app-password", Method: http.MethodDelete, Path: "/v1/app-passwords/{id}", Summary: "End an app password"}
	known(s, v1, revoke, func(ctx context.Context, id auth.Identity, in *appPasswordInput) (*struct{}, error) {
		return nil, s.auth.Revoke(ctx, id, in.ID)
	})
}
