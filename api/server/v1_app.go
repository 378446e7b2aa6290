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
