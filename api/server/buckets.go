package server

import (
	"net/http"
	"strings"
	"time"

	"satchel/api"
	"satchel/api/auth"
	"satchel/api/route"
)

// routeBuckets adds accounts and buckets for clients that know them from a
// console of S3 storage.
func (s *server) routeBuckets(mux *http.ServeMux, doc *route.Document) {
	f := doc.Family("api", "Accounts and buckets: {success, message, data}. The objects in a bucket are served by the S3 endpoint (--s3-listen)", "/api/", s.apiError)
	json := map[string]string{"Content-Type": "application/json"}
	person := route.JSON(route.Field{Name: "email", Required: true}, route.Field{Name: "password", Required: true})
	f.Handle(route.Operation{
		ID: "api-signup", Method: http.MethodPost, Path: "/api/users/signup", Summary: "Make an account, where anyone may", Body: person,
		Answers: []route.Answer{{Status: 201, Doc: "{success, message, data: {id, email, minioAccessKey, createdAt}}"}, {Status: 400, Doc: "No address, or no good password"}, {Status: 403, Doc: "Signing up is closed"}, {Status: 409, Doc: "The address is taken"}},
		Examples: []route.Example{
			{Summary: "Sign up", Header: json, Body: `{"email":"new-here@example.org","password":"a long password"}`, Status: 201, Contains: "User created successfully"},
			{Summary: "Again", Header: json, Body: `{"email":"new-here@example.org","password":"a long password"}`, Status: 409},
		},
	}, s.apiSignup)
	f.Handle(route.Operation{
		ID: "api-login", Method: http.MethodPost, Path: "/api/users/login", Summary: "Log in for a token", Body: person,
		Answers:  []route.Answer{{Status: 200, Doc: "{success, message, data: {user, token}}"}, {Status: 401, Doc: "Invalid email or password"}},
		Examples: []route.Example{{Summary: "With a wrong password", Header: json, Body: `{"email":"you@example.org","password":"wrong"}`, Status: 401, Contains: "Invalid email or password"}},
	}, s.apiLogin)
	f.Handle(route.Operation{
		ID: "api-add-bucket", Method: http.MethodPost, Path: "/api/buckets", Access: route.Known, Summary: "Make a bucket of the top-level directory of that name",
		Body:     route.JSON(route.Field{Name: "name", Required: true, Doc: "By S3's rules; no other bucket may have it"}),
		Answers:  []route.Answer{{Status: 201, Doc: "{success, message, data: {name, createdAt}}"}, {Status: 409, Doc: "The name is taken"}},
		Examples: []route.Example{{Summary: "A new one", As: route.You, Header: json, Body: `{"name":"your-first-bucket"}`, Status: 201}, {Summary: "Again", As: route.You, Header: json, Body: `{"name":"your-first-bucket"}`, Status: 409}},
	}, s.apiAddBucket)
	f.Handle(route.Operation{
		ID: "api-buckets", Method: http.MethodGet, Path: "/api/buckets", Access: route.Known, Summary: "Your buckets",
		Examples: []route.Example{{Summary: "All", As: route.You, Status: 200, Contains: "your-first-bucket"}, {Summary: "Nobody's", Status: 401, Contains: "Access token required"}},
	}, s.apiBuckets)
	f.Handle(route.Operation{
		ID: "api-bucket-policy", Method: http.MethodGet, Path: "/api/buckets/{name}/policy", Access: route.Known, Summary: "A bucket's policy, for its owner and admins",
		Answers:  []route.Answer{{Status: 200, Doc: "{success, bucket, policy}"}, {Status: 404, Doc: "There is no such bucket"}},
		Examples: []route.Example{{Summary: "One without", As: route.You, Path: "/api/buckets/your-first-bucket/policy", Status: 200, Contains: `"policy":null`}},
	}, s.apiPolicy)
	f.Handle(route.Operation{
		ID: "api-remove-bucket", Method: http.MethodDelete, Path: "/api/buckets/{name}", Access: route.Known, Summary: "Remove an empty bucket, with its directory",
		Answers:  []route.Answer{{Status: 200, Doc: "It is gone"}, {Status: 409, Doc: "It is not empty"}},
		Examples: []route.Example{{Summary: "By its name", As: route.You, Path: "/api/buckets/your-first-bucket", Status: 200}},
	}, s.apiRemoveBucket)
	f.Handle(route.Operation{
		ID: "api-remove-bucket-named", Method: http.MethodDelete, Path: "/api/buckets", Access: route.Known, Summary: "The same, named in the body",
		Body:     route.JSON(route.Field{Name: "name", Required: true}),
		Examples: []route.Example{{Summary: "One that is gone", As: route.You, Header: json, Body: `{"name":"your-first-bucket"}`, Status: 404}},
	}, s.apiRemoveBucket)
	f.Mount(mux)
}

// success is what /api answers with.
type success struct {
	Success bool   `json:"success"`
	Message string `json:"message,omitempty"`
	Data    any    `json:"data"`
}

type apiUser struct {
	ID        api.ID    `json:"id"`
	Email     string    `json:"email"`
	AccessKey string    `json:"minioAccessKey"`
	CreatedAt time.Time `json:"createdAt"`
}

func (s *server) apiSignup(w http.ResponseWriter, r *http.Request) {
	account, err := s.register(w, r)
	if err != nil {
		s.apiError(w, r, err)
		return
	}
	// Its secret is nowhere to be seen: rotating the key shows a new one.
	key, err := s.auth.FirstAccessKey(r.Context(), account, "signup")
	if err != nil {
		s.apiError(w, r, err)
		return
	}
	writeJSON(w, http.StatusCreated, success{true, "User created successfully", apiUser{account.ID, account.Email, key.Key, account.ID.Time().UTC()}})
}

func (s *server) apiLogin(w http.ResponseWriter, r *http.Request) {
	var in struct{ Email, Password string }
	if err := readArguments(w, r, &in); err != nil {
		s.apiError(w, r, err)
		return
	}
	_, token, err := s.auth.LoginBrowser(r.Context(), address(r), in.Email, in.Password, r.UserAgent())
	if err != nil {
		s.apiError(w, r, err)
		return
	}
	user, err := s.apiUser(r, token)
	if err != nil {
		s.apiError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, success{true, "Login successful", map[string]any{"user": user, "token": token.Token}})
}

func (s *server) apiUser(r *http.Request, token api.Token) (apiUser, error) {
	id, err := s.auth.ByToken(r.Context(), token.Token)
	if err != nil {
		return apiUser{}, err
	}
	keys, err := s.auth.AccessKeys(r.Context(), id)
	u := apiUser{ID: id.User, Email: id.Email, CreatedAt: id.User.Time().UTC()}
	if len(keys) > 0 {
		u.AccessKey = keys[0].Key
	}
	return u, err
}

// identifyAPI is identify in the words of /api.
func (s *server) identifyAPI(r *http.Request) (auth.Identity, error) {
	id, err := s.identify(r)
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if api.KindOf(err) == api.Unauthenticated && strings.TrimSpace(token) == "" {
		err = api.Errorf(api.Unauthenticated, "Access token required")
	}
	return id, err
}

type apiBucket struct {
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"createdAt"`
}

func (s *server) apiBuckets(w http.ResponseWriter, r *http.Request) {
	id, err := s.identifyAPI(r)
	if err != nil {
		s.apiError(w, r, err)
		return
	}
	buckets, err := s.drives.Buckets(r.Context(), caller(id))
	if err != nil {
		s.apiError(w, r, err)
		return
	}
	list := make([]apiBucket, len(buckets))
	for i, b := range buckets {
		list[i] = apiBucket{b.Name, b.Created.UTC()}
	}
	writeJSON(w, http.StatusOK, success{Success: true, Data: list})
}

// bucketName is the bucket that a request names, in its path or its body.
func bucketName(w http.ResponseWriter, r *http.Request) (string, error) {
	if name := r.PathValue("name"); name != "" {
		return name, nil
	}
	var in struct{ Name string }
	err := readArguments(w, r, &in)
	return in.Name, err
}

func (s *server) apiAddBucket(w http.ResponseWriter, r *http.Request) {
	id, err := s.identifyAPI(r)
	var name string
	if err == nil {
		name, err = bucketName(w, r)
	}
	if err == nil {
		err = s.drives.CreateBucket(r.Context(), caller(id), name)
	}
	if err != nil {
		s.apiError(w, r, err)
		return
	}
	writeJSON(w, http.StatusCreated, success{true, "Bucket created successfully", apiBucket{name, time.Now().UTC()}})
}

func (s *server) apiRemoveBucket(w http.ResponseWriter, r *http.Request) {
	id, err := s.identifyAPI(r)
	var name string
	if err == nil {
		name, err = bucketName(w, r)
	}
	if err == nil {
		err = s.drives.DeleteBucket(r.Context(), caller(id), name)
	}
	if err != nil {
		s.apiError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, success{true, "Bucket deleted successfully", map[string]string{"name": name}})
}

func (s *server) apiPolicy(w http.ResponseWriter, r *http.Request) {
	id, err := s.identifyAPI(r)
	if err != nil {
		s.apiError(w, r, err)
		return
	}
	policy, err := s.drives.BucketPolicy(r.Context(), caller(id), r.PathValue("name"))
	if err != nil {
		s.apiError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"success": true, "bucket": r.PathValue("name"), "policy": policy})
}
