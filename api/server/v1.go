package server

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"satchel/api/auth"
)

// maxJSON is the largest JSON body in bytes: a batch of large files names all
// their chunks.
const maxJSON = 32 << 20

// body is an answer with a JSON body.
type body[T any] struct{ Body T }

func answer[T any](v T, err error) (*body[T], error) {
	if err != nil {
		return nil, err
	}
	return &body[T]{v}, nil
}

// open adds an operation that anyone may call.
func open[I, O any](s *server, v1 huma.API, op huma.Operation, h func(context.Context, *I) (*O, error)) {
	op.SkipValidateBody = true // encoding/json and the service check what matters
	op.BodyReadTimeout = -1    // see requestBody
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = 64 << 10
	}
	huma.Register(v1, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := h(ctx, in)
		if err != nil {
			return nil, s.fail(err)
		}
		return out, nil
	})
}

// identityKey carries an identity from the middleware to the handler within
// this file: huma reads the body in between, and strangers' bodies are not read.
type identityKey struct{}

// known adds an operation for identified callers; its handler gets who it is.
func known[I, O any](s *server, v1 huma.API, op huma.Operation, h func(context.Context, auth.Identity, *I) (*O, error)) {
	op.Security = []map[string][]string{{"token": {}}}
	op.Middlewares = huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		id, err := s.identify(r)
		if err != nil {
			s.problemError(w, r, err)
			return
		}
		next(huma.WithValue(ctx, identityKey{}, id))
	}}
	open(s, v1, op, func(ctx context.Context, in *I) (*O, error) {
		return h(ctx, ctx.Value(identityKey{}).(auth.Identity), in)
	})
}

func get(id, path, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: http.MethodGet, Path: "/v1" + path, Summary: summary}
}

func post(id, path, summary string) huma.Operation {
	return huma.Operation{OperationID: id, Method: http.MethodPost, Path: "/v1" + path, Summary: summary}
}
