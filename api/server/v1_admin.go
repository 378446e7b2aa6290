package server

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"satchel/api"
	"satchel/api/admin"
	"satchel/api/route"
	"satchel/storage/postgres"
)

// deskKey carries an admin's desk from the middleware to the handler within this file.
type deskKey struct{}

// asAdmin adds an operation for admins. For everyone else it is refused before
// anything of the request is looked at.
func asAdmin[I, O any](s *server, v1 huma.API, op huma.Operation, h func(context.Context, *admin.Desk, *I) (O, error)) {
	op.Security = []map[string][]string{{"token": {}}}
	op.Tags = []string{"admin"}
	op.Middlewares = huma.Middlewares{func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		desk, err := s.desk(r)
		if err != nil {
			s.problemError(w, r, err)
			return
		}
		next(huma.WithValue(ctx, deskKey{}, desk))
	}}
	open(s, v1, op, func(ctx context.Context, in *I) (*body[O], error) {
		return answer(h(ctx, ctx.Value(deskKey{}).(*admin.Desk), in))
	})
}

// desk is that of who asks. For anyone but an admin it is [api.Permission].
func (s *server) desk(r *http.Request) (*admin.Desk, error) {
	id, err := s.identify(r)
	if err != nil {
		return nil, err
	}
	return s.admin.For(id)
}

// AdminValues is a request's query as it stands; the fields beside it describe it.
type AdminValues struct{ values url.Values }

// Resolve keeps the query.
func (in *AdminValues) Resolve(ctx huma.Context) []error {
	u := ctx.URL()
	in.values = u.Query()
	return nil
}

type usersAnswer struct {
	Users []admin.User `json:"users"`
}

type addUserInput struct{ Body admin.NewUser }

type addUserAnswer struct {
	User     admin.User `json:"user"`
	Password string     `json:"password,omitempty" doc:"Where none was given: the one that was made"`
}

type UserInput struct {
	User api.ID `path:"user"`
}

type changeUserInput struct {
	UserInput
	Body admin.UserChange
}

type resetInput struct {
	UserInput
	Body struct {
		Password string `json:"password,omitempty" doc:"Empty: one is made"`
	}
}

type resetAnswer struct {
	Password string `json:"password,omitempty" doc:"Where none was given: the one that was made"`
}

type metadataInput struct {
	AdminValues
	Owner string `query:"owner" doc:"Whose files: an id"`
	Name  string `query:"name" doc:"A part of the file's name, in any case"`
	Kind  string `query:"kind" doc:"Images, Documents, …: as /v1/admin/kinds has them"`
	Min   string `query:"min" doc:"The smallest size: bytes, or 20 MB"`
	Max   string `query:"max" doc:"The largest size"`
	Since string `query:"since" doc:"Changed at or after this time, or on or after this day"`
	Until string `query:"until" doc:"Changed before this time, or on or before this day"`
	After string `query:"after" doc:"From the page before"`
	Limit string `query:"limit" doc:"At most so many, 1000 at most"`
}

type metadataAnswer struct {
	Files []postgres.Metadata `json:"files"`
	After string              `json:"after,omitempty" doc:"For the next page; absent on the last"`
}

type eventsInput struct {
	AdminValues
	Action  string `query:"action" doc:"What was done, as the log words it"`
	Actor   string `query:"actor" doc:"Who did it: an e-mail address"`
	Subject string `query:"subject" doc:"A part of to what or whom, in any case"`
	Since   string `query:"since" doc:"At or after this time or day"`
	Until   string `query:"until" doc:"Before this time, or on or before this day"`
	After   string `query:"after" doc:"From the page before"`
	Limit   string `query:"limit" doc:"At most so many, 1000 at most"`
}

type eventsAnswer struct {
	Events []postgres.Event `json:"events"`
	After  string           `json:"after,omitempty" doc:"For the next page; absent on the last"`
}

type loginsInput struct {
	AdminValues
	User  string `query:"user" doc:"Of this user: an id"`
	Kind  string `query:"kind" doc:"device, browser, app or key"`
	From  string `query:"from" doc:"Leave out so many"`
	Limit string `query:"limit" doc:"At most so many, 1000 at most"`
}

type sessionInput struct {
	Session api.ID `path:"session"`
}

type liftInput struct {
	Body struct {
		Network string `json:"network" doc:"An address or a network: 192.0.2.1, 2001:db8::/64"`
	}
}

// Ban is a network that is refused.
type Ban struct {
	Network netip.Prefix `json:"network"`
	Reason  string       `json:"reason"`
	Created time.Time    `json:"created"`
	Until   time.Time    `json:"until"`
}

type runInput struct {
	Body struct {
		Kind string `json:"kind" doc:"gc or fsck"`
		Deep bool   `json:"deep,omitempty" doc:"fsck: read all content and compare its hashes"`
	}
}

type runAnswer struct {
	ID api.ID `json:"id"`
}

type daysInput struct {
	AdminValues
	Days string `query:"days" doc:"How many days up to today (30)"`
	User string `query:"user" doc:"Of this user: an id"`
}

type kindsAnswer struct {
	Counted *time.Time      `json:"counted,omitempty" doc:"When the files were counted; absent: not yet"`
	Kinds   []admin.KindUse `json:"kinds"`
}

// adminRoutes adds what admins do.
func (s *server) adminRoutes(mux *http.ServeMux, v1 huma.API) {
	asAdmin(s, v1, get("admin-users", "/admin/users", "All accounts and what they keep"), func(ctx context.Context, d *admin.Desk, _ *struct{}) (usersAnswer, error) {
		users, err := d.Users(ctx)
		return usersAnswer{notNil(users)}, err
	})
	asAdmin(s, v1, post("admin-add-user", "/admin/users", "Make an account"), func(ctx context.Context, d *admin.Desk, in *addUserInput) (a addUserAnswer, err error) {
		a.User, a.Password, err = d.AddUser(ctx, in.Body)
		return a, err
	})
	change := huma.Operation{OperationID: "admin-change-user", Method: http.MethodPatch, Path: "/v1/admin/users/{user}", Summary: "Change an account's name, role or quota; disable or enable it"}
	asAdmin(s, v1, change, func(ctx context.Context, d *admin.Desk, in *changeUserInput) (admin.User, error) {
		if err := d.ChangeUser(ctx, in.User, in.Body); err != nil {
			return admin.User{}, err
		}
		return d.User(ctx, in.User)
	})
	asAdmin(s, v1, post("admin-reset-password", "/admin/users/{user}/password", "Give an account another password; its sessions end"),
		func(ctx context.Context, d *admin.Desk, in *resetInput) (a resetAnswer, err error) {
			a.Password, err = d.ResetPassword(ctx, in.User, in.Body.Password)
			return a, err
		})
	asAdmin(s, v1, get("admin-files", "/admin/files", "Metadata of all files; never their content"), func(ctx context.Context, d *admin.Desk, in *metadataInput) (a metadataAnswer, err error) {
		q, err := s.metadataQuery(in.values)
		if err == nil {
			a.Files, err = d.Metadata(ctx, q)
		}
		return metadataAnswer{notNil(a.Files), nextMetadata(a.Files, q.Limit)}, err
	})
	asAdmin(s, v1, get("admin-events", "/admin/events", "The audit log: who did what, the newest first"), func(ctx context.Context, d *admin.Desk, in *eventsInput) (a eventsAnswer, err error) {
		q, err := eventQuery(in.values)
		if err == nil {
			a.Events, err = d.Events(ctx, q)
		}
		return eventsAnswer{notNil(a.Events), nextEvent(a.Events, q.Limit)}, err
	})
	asAdmin(s, v1, get("admin-sessions", "/admin/sessions", "Everybody's live sessions, the last seen first"), func(ctx context.Context, d *admin.Desk, in *loginsInput) ([]postgres.LiveSession, error) {
		user, kind, limit, offset, err := loginFilter(in.values)
		if err != nil {
			return nil, err
		}
		logins, err := d.Logins(ctx, user, kind, limit, offset)
		return notNil(logins), err
	})
	end := huma.Operation{OperationID: "admin-end-session", Method: http.MethodDelete, Path: "/v1/admin/sessions/{session}", Summary: "End anybody's session"}
	asAdmin(s, v1, end, func(ctx context.Context, d *admin.Desk, in *sessionInput) (struct{}, error) {
		return struct{}{}, d.EndLogin(ctx, in.Session)
	})
	asAdmin(s, v1, get("admin-bans", "/admin/bans", "The networks that are refused"), func(ctx context.Context, d *admin.Desk, _ *struct{}) ([]Ban, error) {
		bans, err := d.Bans(ctx)
		all := make([]Ban, len(bans))
		for i, b := range bans {
			all[i] = Ban(b)
		}
		return all, err
	})
	asAdmin(s, v1, post("admin-lift-bans", "/admin/bans/lift", "Lift the bans that concern an address or a network"), func(ctx context.Context, d *admin.Desk, in *liftInput) (struct{}, error) {
		return struct{}{}, d.LiftBans(ctx, in.Body.Network)
	})
	asAdmin(s, v1, get("admin-runs", "/admin/runs", "Runs of gc and fsck, the newest first"), func(ctx context.Context, d *admin.Desk, in *loginsInput) ([]postgres.Run, error) {
		f := &filter{values: in.values}
		limit, offset := f.limit(), int(f.number("from", 0, 1<<30))
		if f.err != nil {
			return nil, f.err
		}
		runs, err := d.Runs(ctx, limit, offset)
		return notNil(runs), err
	})
	asAdmin(s, v1, post("admin-run", "/admin/runs", "Start gc, or fsck without repairs"), func(ctx context.Context, d *admin.Desk, in *runInput) (runAnswer, error) {
		id, err := d.Run(ctx, in.Body.Kind, in.Body.Deep)
		return runAnswer{id}, err
	})
	asAdmin(s, v1, get("admin-days", "/admin/days", "What the last days did and how much was stored"), func(ctx context.Context, d *admin.Desk, in *daysInput) ([]admin.DayUse, error) {
		days, user, err := daysFilter(in.values)
		if err != nil {
			return nil, err
		}
		return d.Days(ctx, days, user)
	})
	asAdmin(s, v1, get("admin-kinds", "/admin/kinds", "Files by kind, as they were counted last"), func(ctx context.Context, d *admin.Desk, in *daysInput) (a kindsAnswer, err error) {
		_, user, err := daysFilter(in.values)
		if err != nil {
			return a, err
		}
		kinds, at, err := d.Kinds(ctx, user)
		if !at.IsZero() {
			a.Counted = &at
		}
		a.Kinds = notNil(kinds)
		return a, err
	})
	mux.HandleFunc("GET /v1/admin/export/{figure}", s.exportV1)
	export := get("admin-export", "/admin/export/{figure}", "All of a list, streamed: users, files, events, sessions, bans, runs, days or kinds, with the list's own filters")
	export.Tags, export.Security = []string{"admin"}, []map[string][]string{{"token": {}}}
	export.Parameters = []*huma.Param{
		{Name: "figure", In: route.Path, Required: true, Schema: &huma.Schema{Type: huma.TypeString}},
		{Name: "format", In: route.Query, Description: "csv (the default) or json", Schema: &huma.Schema{Type: huma.TypeString}},
	}
	v1.OpenAPI().AddOperation(&export)
}

// adminExamples shows how admins ask, and that others can't.
func adminExamples(doc *route.Document) {
	as := func(who, summary, path string, status int, contains string) route.Example {
		return route.Example{Summary: summary, As: who, Path: path, Status: status, Contains: contains}
	}
	with := func(e route.Example, text string) route.Example {
		e.Header, e.Body = asJSON, text
		return e
	}
	keep := func(e route.Example, name, at string) route.Example {
		e.Keep = map[string]string{name: at}
		return e
	}
	no := func(path string) route.Example {
		return as(route.You, "As somebody else", path, 403, `"kind":"permission"`)
	}
	nobody := "00000000-0000-7000-8000-000000000000"
	doc.Examples("admin-users", as(route.Admin, "All", "", 200, `"id":"$you"`), no(""))
	doc.Examples("admin-add-user", with(keep(as(route.Admin, "With a password that is made", "", 200, `"password"`), "made", "user.id"), `{"email":"made-by-admin@example.org","name":"Made"}`),
		with(as(route.Admin, "A taken address", "", 409, `"kind":"exists"`), `{"email":"made-by-admin@example.org"}`), with(no(""), `{"email":"mine@example.org","role":"admin"}`))
	doc.Examples("admin-change-user", with(as(route.Admin, "A quota", "/v1/admin/users/$made", 200, `"quota":1000`), `{"quota":1000}`),
		with(as(route.Admin, "Disable it", "/v1/admin/users/$made", 200, `"disabled":true`), `{"disabled":true}`), with(no("/v1/admin/users/$you"), `{"role":"admin"}`))
	doc.Examples("admin-reset-password", with(as(route.Admin, "One that is made", "/v1/admin/users/$made/password", 200, `"password"`), `{}`), with(no("/v1/admin/users/$friend/password"), `{}`))
	doc.Examples("admin-files", as(route.Admin, "By name and owner", "/v1/admin/files?owner=$you&name=TODAY", 200, `"path":"notes/today.txt"`), no(""))
	doc.Examples("admin-events", as(route.Admin, "Of one account", "/v1/admin/events?subject=made-by-admin&action=account+disabled", 200, `"subject":"made-by-admin@example.org"`), no(""))
	doc.Examples("admin-sessions", as(route.Admin, "Of one user", "/v1/admin/sessions?user=$you", 200, `"user":"$you"`), no(""))
	doc.Examples("admin-end-session", as(route.Admin, "One that is not there", "/v1/admin/sessions/"+nobody, 404, `"kind":"not_found"`), no("/v1/admin/sessions/"+nobody))
	doc.Examples("admin-bans", as(route.Admin, "All", "", 200, "["), no(""))
	doc.Examples("admin-lift-bans", with(as(route.Admin, "One that is not there", "", 404, `"kind":"not_found"`), `{"network":"192.0.2.1"}`), with(no(""), `{"network":"0.0.0.0/0"}`))
	doc.Examples("admin-runs", as(route.Admin, "The last ones", "/v1/admin/runs?limit=10", 200, "["), no(""))
	doc.Examples("admin-run", with(as(route.Admin, "Something else", "", 400, `"kind":"invalid"`), `{"kind":"format"}`), with(no(""), `{"kind":"gc"}`))
	doc.Examples("admin-days", as(route.Admin, "A week", "/v1/admin/days?days=7", 200, `"stored"`), no(""))
	doc.Examples("admin-kinds", as(route.Admin, "All", "", 200, `"kinds"`), no(""))
	doc.Examples("admin-export", as(route.Admin, "The accounts as CSV", "/v1/admin/export/users?format=csv", 200, "id,email,name,role,disabled,created,files,bytes,stored,quota"),
		as(route.Admin, "Files as JSON", "/v1/admin/export/files?format=json&name=today", 200, `"path":"notes/today.txt"`), no("/v1/admin/export/files"))
}
