package server

import (
	"net/http"

	"satchel/api/route"
)

// asJSON is the header of an example whose body is JSON.
var asJSON = map[string]string{"Content-Type": "application/json"}

func (s *server) sessionRoutes(f *route.Family) {
	f.Handle(route.Operation{
		ID: "rpc-login", Method: http.MethodPost, Path: "/rpc/login", Summary: "Log in: a token, and a cookie of the same session",
		Doc:  "With Accept: application/vnd.pgrst.object+json the answer is the object alone. Wrong passwords are throttled by account and by address.",
		Body: route.JSON(route.Field{Name: "email", Required: true}, route.Field{Name: "password", Required: true}),
		Answers: []route.Answer{
			{Status: 200, Doc: `[{"token":"…"}]`}, {Status: 400, Doc: "Invalid email or password"}, {Status: 429, Doc: "Too many wrong passwords"},
		},
		Examples: []route.Example{{
			Summary: "With a wrong password", Header: asJSON,
			Body: `{"email":"you@example.org","password":"wrong"}`, Status: 400, Contains: "Invalid email or password",
		}},
	}, s.rpcLogin)
	f.Handle(route.Operation{
		ID: "rpc-register", Method: http.MethodPost, Path: "/rpc/register", Summary: "Make an account, where the server lets anyone (--open-signup)",
		Body: route.JSON(route.Field{Name: "email", Required: true}, route.Field{Name: "name"}, route.Field{Name: "password", Required: true, Doc: "At least 8 characters"}),
		Answers: []route.Answer{
			{Status: 200, Doc: `[{"user_id","name","email","token"}], and the cookie`}, {Status: 400, Doc: "The address or the password can't be one"},
			{Status: 403, Doc: "Signing up is closed"}, {Status: 409, Doc: "The address is taken"}, {Status: 429, Doc: "Too many new accounts"},
		},
		Examples: []route.Example{{
			Summary: "With a password that is too short", Header: asJSON,
			Body: `{"email":"new@example.org","name":"New","password":"short"}`, Status: 400, Contains: "fewer than 8 characters",
		}, {
			Summary: "Somebody new", Header: asJSON,
			Body: `{"email":"new@example.org","name":"New","password":"a long password"}`, Status: 200, Contains: `"token"`,
		}},
	}, s.rpcRegister)
	who := route.Operation{
		ID: "rpc-current-user", Method: http.MethodGet, Path: "/rpc/current_user", Access: route.Known, Summary: "Who asks",
		Answers: []route.Answer{{Status: 200, Doc: `[{"user_id","name","email"}]`}},
		Examples: []route.Example{
			{Summary: "With a token", As: route.You, Status: 200, Contains: `"user_id":"$you"`},
			{Summary: "As nobody", Status: 401, Contains: `"message"`},
		},
	}
	f.Handle(who, s.rpcCurrentUser)
	who.ID, who.Method, who.Body = "rpc-current-user-post", http.MethodPost, &route.Body{Type: "application/json", Optional: true, Doc: "It is not read"}
	f.Handle(who, s.rpcCurrentUser)
	f.Handle(route.Operation{
		ID: "rpc-refresh-session", Method: http.MethodPost, Path: "/rpc/refresh_session", Access: route.Known, Summary: "Let the session's 15 minutes without use begin anew; a new token",
		Doc:      "A session ends after 30 days in any case.",
		Answers:  []route.Answer{{Status: 200, Doc: `[{"token","expires"}]`}},
		Examples: []route.Example{{Summary: "With a token", As: route.You, Status: 200, Contains: `"token"`}},
	}, s.rpcRefreshSession)
	f.Handle(route.Operation{
		ID: "rpc-logout", Method: http.MethodPost, Path: "/rpc/logout", Access: route.Known, Summary: "End the session, its token and its cookie",
		Answers:  []route.Answer{{Status: 204, Doc: "It has ended; the cookie is emptied"}},
		Examples: []route.Example{{Summary: "As nobody", Status: 401}},
	}, s.rpcLogout)
	f.Handle(route.Operation{
		ID: "rpc-change-password", Method: http.MethodPost, Path: "/rpc/change_password", Access: route.Known, Summary: "Change your password; your other sessions end",
		Body:    route.JSON(route.Field{Name: "current_password", Required: true}, route.Field{Name: "new_password", Required: true, Doc: "At least 8 characters"}),
		Answers: []route.Answer{{Status: 204, Doc: "It is changed"}, {Status: 400, Doc: "The current password is wrong, or the new one too short"}, {Status: 429, Doc: "Too many wrong passwords"}},
		Examples: []route.Example{{
			Summary: "With a wrong password", As: route.Friend, Header: asJSON,
			Body: `{"current_password":"wrong","new_password":"a long password"}`, Status: 400, Contains: "the current password is wrong",
		}},
	}, s.rpcChangePassword)
}

func (s *server) userRoutes(f *route.Family) {
	rows := []route.Param{
		{Name: "id", In: route.Query, Doc: "Such as eq.UUID"}, {Name: "name", In: route.Query, Doc: "Such as ilike.*ann*"},
		{Name: "select", In: route.Query, Doc: "Columns, such as id,name"},
	}
	f.Handle(route.Operation{
		ID: "get-users", Method: http.MethodGet, Path: "/users", Access: route.Known, Summary: "Who is here, by name; an address and a role in your own row only",
		Params: append(rows[:len(rows):len(rows)], route.Param{Name: "order", In: route.Query}, route.Param{Name: "limit", In: route.Query, Type: "integer"}, route.Param{Name: "offset", In: route.Query, Type: "integer"}),
		Examples: []route.Example{
			{Summary: "All", As: route.You, Status: 200, Contains: `"id":"$friend"`},
			{Summary: "Another one's address is not there", As: route.You, Path: "/users?id=eq.$friend&select=email", Status: 200, Contains: `[{"email":null}]`},
		},
	}, s.getUsers)
	f.Handle(route.Operation{
		ID: "patch-users", Method: http.MethodPatch, Path: "/users", Access: route.Known, Summary: "Change your own name",
		Params:  append(rows[:len(rows):len(rows)], route.Param{Name: "Prefer", In: route.Header, Doc: "return=representation answers with the row"}),
		Body:    route.JSON(route.Field{Name: "name", Required: true}),
		Answers: []route.Answer{{Status: 204, Doc: "It is changed; another's stays as it is"}, {Status: 400, Doc: "There is no filter"}, {Status: 403, Doc: "Another column"}},
		Examples: []route.Example{
			{Summary: "Your own", As: route.You, Path: "/users?id=eq.$you", Header: map[string]string{"Prefer": "return=representation", "Content-Type": "application/json"}, Body: `{"name":"Yours"}`, Status: 200, Contains: `"name":"Yours"`},
			{Summary: "Another column", As: route.You, Path: "/users?id=eq.$you", Header: asJSON, Body: `{"role":"admin"}`, Status: 403},
		},
	}, s.patchUsers)
}
