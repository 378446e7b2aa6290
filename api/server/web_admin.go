package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"satchel/api"
	"satchel/api/admin"
	"satchel/api/auth"
	"satchel/api/web"
)

// The pages of admins. What they show comes from a desk (package admin); there
// is no way from here to content.

// A deskPage answers an admin.
type deskPage func(w http.ResponseWriter, r *http.Request, id auth.Identity, desk *admin.Desk) error

func (s *server) routeWebAdmin(mux *http.ServeMux) {
	for pattern, page := range map[string]deskPage{
		"GET /people":             s.webPeople,
		"GET /people/{user}":      s.webPerson,
		"GET /metadata":           s.webMetadata,
		"GET /usage":              s.webUsage,
		"GET /logins":             s.webLogins,
		"GET /audit":              s.webAudit,
		"GET /bans":               s.webBans,
		"GET /upkeep":             s.webUpkeep,
		"POST /do/admin/add":      s.doAddUser,
		"POST /do/admin/change":   s.doChangeUser,
		"POST /do/admin/password": s.doResetPassword,
		"POST /do/admin/end":      s.doEndLogin,
		"POST /do/admin/lift":     s.doLiftBan,
		"POST /do/admin/run":      s.doRun,
		"GET /export/{figure}": func(w http.ResponseWriter, r *http.Request, _ auth.Identity, desk *admin.Desk) error {
			return s.export(w, r, desk)
		},
	} {
		mux.HandleFunc(pattern, s.signedIn(func(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
			desk, err := s.admin.For(id)
			if err != nil {
				return err
			}
			return page(w, r, id, desk)
		}))
	}
}

// exports are links to all of what a page shows.
func exports(figure string, filter url.Values) []web.Export {
	all := make([]web.Export, 0, 2)
	for _, format := range []string{"csv", "json"} {
		q := url.Values{"format": {format}}
		for name, values := range filter {
			if name != "after" && name != "from" && name != "format" && len(values) > 0 && values[0] != "" {
				q[name] = values[:1]
			}
		}
		all = append(all, web.Export{Label: strings.ToUpper(format), URL: "/export/" + figure + "?" + q.Encode()})
	}
	return all
}

// further is the address of the same page with another value in its query.
func further(filter url.Values, name, value string) string {
	if value == "" {
		return ""
	}
	q := url.Values{}
	for n, values := range filter {
		if len(values) > 0 && values[0] != "" {
			q[n] = values[:1]
		}
	}
	q.Set(name, value)
	return "?" + q.Encode()
}

func (s *server) webPeople(w http.ResponseWriter, r *http.Request, id auth.Identity, desk *admin.Desk) error {
	users, err := desk.Users(r.Context())
	if err != nil {
		return err
	}
	v := web.List{
		Page: pageOf(id, "People", "people"), Exports: exports("users", nil), Empty: "There are no accounts.",
		Intro: "Who has an account, and how much each keeps.",
		Columns: []web.Column{{Label: "Address"}, {Label: "Name"}, {Label: "Role"}, {Label: "Since"}, {Label: "Files", Number: true}, {Label: "Current", Number: true},
			{Label: "With history", Number: true}, {Label: "Quota", Number: true}},
		Forms: []web.Form{{Title: "Add somebody", Action: "/do/admin/add", Button: "Make the account", Fields: []web.Field{
			{Name: "email", Label: "Address", Type: "email", Required: true}, {Name: "name", Label: "Name"},
			{Name: "role", Label: "Role", Type: "select", Value: auth.Editor, Options: roles},
			{Name: "quota", Label: "Quota", Hint: "none, or such as 20 GB"}}}},
	}
	sum := admin.User{}
	for _, u := range users {
		badge := ""
		if u.Disabled {
			badge = "disabled"
		}
		quota := web.Cell{Text: "none"}
		if u.Quota > 0 {
			quota = web.Cell{Text: web.Bytes(u.Quota), Done: min(u.Stored, u.Quota), Total: u.Quota}
		}
		v.Rows = append(v.Rows, web.Line{Cells: []web.Cell{{Text: u.Email, URL: "/people/" + u.ID.String(), Badge: badge}, text(u.Name), text(u.Role), text(u.Created.UTC().Format(time.DateOnly)),
			count(u.Files), text(web.Bytes(u.Bytes)), text(web.Bytes(u.Stored)), quota}})
		sum.Files, sum.Bytes, sum.Stored = sum.Files+u.Files, sum.Bytes+u.Bytes, sum.Stored+u.Stored
	}
	v.Rows = append(v.Rows, web.Line{Sum: true, Cells: []web.Cell{text("All"), {}, {}, {}, count(sum.Files), text(web.Bytes(sum.Bytes)), text(web.Bytes(sum.Stored)), {}}})
	s.render(w, r, http.StatusOK, v)
	return nil
}

var roles = []web.Option{{Value: auth.Editor, Label: "editor: has a drive"}, {Value: auth.Admin, Label: "admin: sees everyone's metadata, has no drive"}}

func (s *server) webPerson(w http.ResponseWriter, r *http.Request, id auth.Identity, desk *admin.Desk) error {
	user, err := api.ParseID(r.PathValue("user"))
	if err != nil {
		return api.Errorf(api.NotFound, "there is no such account")
	}
	return s.person(w, r, id, desk, user, "")
}

// person shows an account, and its password if that was just made.
func (s *server) person(w http.ResponseWriter, r *http.Request, id auth.Identity, desk *admin.Desk, user api.ID, password string) error {
	u, err := desk.User(r.Context(), user)
	if err != nil {
		return err
	}
	charts, err := s.charts(r, desk, figureDays, user)
	if err != nil {
		return err
	}
	v := web.Person{
		Page: pageOf(id, u.Email, "people"), ID: u.ID, Name: u.Name, Email: u.Email, Role: u.Role, Self: u.ID == id.User, Disabled: u.Disabled, Password: password,
		Use:   web.Usage{Used: u.Bytes, Stored: u.Stored, Quota: u.Quota, Files: u.Files},
		Facts: []web.Option{{Label: "Since", Value: u.Created.UTC().Format(time.DateOnly)}},
		Links: []web.Export{{Label: "Sessions", URL: "/logins?user=" + u.ID.String()}, {Label: "Audit log", URL: "/audit?" + url.Values{"subject": {u.Email}}.Encode()}},
	}
	if u.Role == auth.Editor {
		v.Facts = append(v.Facts, web.Option{Label: "Files", Value: fmt.Sprintf("%d, %s; with history and trash %s", u.Files, web.Bytes(u.Bytes), web.Bytes(u.Stored))})
		v.Links = append(v.Links, web.Export{Label: "Files' metadata", URL: "/metadata?owner=" + u.ID.String()})
		v.Charts = charts
	}
	whom := web.Option{Label: "user", Value: u.ID.String()}
	quota := ""
	if u.Quota > 0 {
		quota = exactly(u.Quota)
	}
	v.Forms = append(v.Forms, web.Form{Title: "Name and quota", Action: "/do/admin/change", Button: "Save", Hidden: []web.Option{whom}, Fields: []web.Field{
		{Name: "name", Label: "Name", Value: u.Name}, {Name: "quota", Label: "Quota", Value: quota, Hint: "none, or such as 20 GB"}}})
	if !v.Self {
		v.Forms = append(v.Forms, web.Form{Title: "Role", Action: "/do/admin/change", Button: "Change it", Hidden: []web.Option{whom},
			Intro: "With another role, sessions end. An editor who becomes an admin does not reach his drive any more; it stays.", Confirm: "Change the role of " + u.Email + "?",
			Fields: []web.Field{{Name: "role", Label: "Role", Type: "select", Value: u.Role, Options: roles}}})
	}
	v.Forms = append(v.Forms, web.Form{Title: "Password", Action: "/do/admin/password", Button: "Make another one", Danger: true, Hidden: []web.Option{whom},
		Intro: "Sessions and devices end, a disabled account is enabled. The log says that it was you.", Confirm: "Give " + u.Email + " another password?"})
	switch {
	case u.Disabled:
		v.Forms = append(v.Forms, web.Form{Title: "Disabled", Action: "/do/admin/change", Button: "Enable it", Hidden: []web.Option{whom, {Label: "disabled", Value: "false"}},
			Intro: "The password is as it was."})
	case !v.Self:
		v.Forms = append(v.Forms, web.Form{Title: "Disable", Action: "/do/admin/change", Button: "Disable it", Danger: true, Hidden: []web.Option{whom, {Label: "disabled", Value: "true"}},
			Intro: "Sessions and devices end at once, and nobody can log in. Files stay.", Confirm: "Disable " + u.Email + "?"})
	}
	s.render(w, r, http.StatusOK, v)
	return nil
}

// exactly is a size for people if it is one to the byte, and else the bytes: what
// a form shows must be what it means.
func exactly(n int64) string {
	if text := web.Bytes(n); n >= 1000 {
		if same, err := parseSize(text); err == nil && same == n {
			return text
		}
	}
	return strconv.FormatInt(n, 10)
}

// fileKinds are what files can be narrowed to.
func (s *server) fileKinds() []web.Option {
	kinds := []web.Option{{Label: "all"}}
	seen := map[string]bool{admin.OtherKind: true}
	for _, k := range s.admin.Kinds {
		if !seen[k] {
			seen[k] = true
			kinds = append(kinds, web.Option{Value: k, Label: k})
		}
	}
	slices.SortFunc(kinds[1:], func(a, b web.Option) int { return strings.Compare(a.Label, b.Label) })
	return kinds
}

// people are the accounts as options of a form.
func people(users []admin.User, editors bool) []web.Option {
	options := []web.Option{{Label: "all"}}
	for _, u := range users {
		if !editors || u.Role == auth.Editor || u.Files > 0 {
			options = append(options, web.Option{Value: u.ID.String(), Label: u.Email})
		}
	}
	return options
}

func (s *server) webMetadata(w http.ResponseWriter, r *http.Request, id auth.Identity, desk *admin.Desk) error {
	in := r.URL.Query()
	q, err := s.metadataQuery(in)
	if err != nil {
		return err
	}
	files, err := desk.Metadata(r.Context(), q)
	if err != nil {
		return err
	}
	users, err := desk.Users(r.Context())
	if err != nil {
		return err
	}
	v := web.List{
		Page: pageOf(id, "Files", "metadata"), Exports: exports("files", in), Empty: "No file is like that.",
		Intro:   "What there is, not what is in it: an admin sees names, sizes and times, and no content.",
		Columns: []web.Column{{Label: "Path"}, {Label: "Owner"}, {Label: "Size", Number: true}, {Label: "Changed"}},
		Filter: []web.Field{{Name: "name", Label: "Name", Value: in.Get("name")},
			{Name: "owner", Label: "Owner", Type: "select", Value: in.Get("owner"), Options: people(users, true)},
			{Name: "kind", Label: "Kind", Type: "select", Value: in.Get("kind"), Options: s.fileKinds()},
			{Name: "min", Label: "At least", Value: in.Get("min"), Hint: "such as 20 MB"}, {Name: "max", Label: "At most", Value: in.Get("max")},
			{Name: "since", Label: "Changed from", Type: "date", Value: in.Get("since")}, {Name: "until", Label: "to", Type: "date", Value: in.Get("until")}},
		More: further(in, "after", nextMetadata(files, q.Limit)),
	}
	for _, f := range files {
		owner := text(f.Email)
		if f.Owner == api.SystemOwner {
			owner = text("system: " + f.DriveName)
		}
		path := text(f.Path)
		if f.Description != "" {
			path.Detail = []web.Option{{Label: "description", Value: f.Description}}
		}
		v.Rows = append(v.Rows, web.Line{Cells: []web.Cell{path, owner, text(web.Bytes(f.Size)), when(f.Modified)}})
	}
	s.render(w, r, http.StatusOK, v)
	return nil
}

var loginOptions = []web.Option{{Label: "all"}, {Value: "device", Label: "devices"}, {Value: "browser", Label: "browsers"}, {Value: "app", Label: "app passwords"}, {Value: "key", Label: "access keys"}}

func (s *server) webLogins(w http.ResponseWriter, r *http.Request, id auth.Identity, desk *admin.Desk) error {
	in := r.URL.Query()
	user, kind, limit, offset, err := loginFilter(in)
	if err != nil {
		return err
	}
	logins, err := desk.Logins(r.Context(), user, kind, limit, offset)
	if err != nil {
		return err
	}
	users, err := desk.Users(r.Context())
	if err != nil {
		return err
	}
	v := web.List{
		Page: pageOf(id, "Sessions", "logins"), Exports: exports("sessions", in), Empty: "Nobody is logged in like that.",
		Intro:   "Devices, browsers, app passwords and access keys that are good now. One that is ended is refused from the next request on; what a device has not sent stays on it.",
		Columns: []web.Column{{Label: "Name"}, {Label: "Whose"}, {Label: "Kind"}, {Label: "Since"}, {Label: "Last seen"}},
		Filter: []web.Field{{Name: "user", Label: "Whose", Type: "select", Value: in.Get("user"), Options: people(users, false)},
			{Name: "kind", Label: "Kind", Type: "select", Value: kind, Options: loginOptions}},
	}
	if len(logins) == limit {
		v.More = further(in, "from", strconv.Itoa(offset+limit))
	}
	for _, l := range logins {
		name := text(loginName(l.Kind, l.Name))
		if l.ID == id.Session {
			name.Badge = "this one"
		}
		v.Rows = append(v.Rows, web.Line{Cells: []web.Cell{name, {Text: l.Email, URL: "/people/" + l.User.String()}, text(l.Kind), when(l.Created), when(l.Seen)},
			Actions: []web.Form{{Action: "/do/admin/end", Button: "End it", Danger: true, Hidden: []web.Option{{Label: "session", Value: l.ID.String()}},
				Confirm: "End " + name.Text + " of " + l.Email + "?"}}})
	}
	s.render(w, r, http.StatusOK, v)
	return nil
}

func (s *server) webAudit(w http.ResponseWriter, r *http.Request, id auth.Identity, desk *admin.Desk) error {
	in := r.URL.Query()
	q, err := eventQuery(in)
	if err != nil {
		return err
	}
	events, err := desk.Events(r.Context(), q)
	if err != nil {
		return err
	}
	actions, err := desk.Actions(r.Context())
	if err != nil {
		return err
	}
	options := []web.Option{{Label: "all"}}
	for _, a := range actions {
		options = append(options, web.Option{Value: a, Label: a})
	}
	v := web.List{
		Page: pageOf(id, "Audit log", "audit"), Exports: exports("events", in), Empty: "Nothing like that happened.",
		Intro:   "Who did what. The database writes it with what is done; nothing that the server does can change it.",
		Columns: []web.Column{{Label: "What"}, {Label: "To what"}, {Label: "Who"}, {Label: "From"}, {Label: "When"}},
		Filter: []web.Field{{Name: "action", Label: "What", Type: "select", Value: q.Action, Options: options}, {Name: "actor", Label: "Who", Type: "email", Value: q.Actor},
			{Name: "subject", Label: "To what", Value: q.Text}, {Name: "since", Label: "From", Type: "date", Value: in.Get("since")}, {Name: "until", Label: "to", Type: "date", Value: in.Get("until")}},
		More: further(in, "after", nextEvent(events, q.Limit)),
	}
	for _, e := range events {
		subject := text(e.Subject)
		subject.Detail = detail(e.Detail)
		who := e.Actor
		if who == "" {
			who = map[string]string{"request": "nobody logged in", "command": "a command", "server": "the server"}[e.Via]
		}
		if e.Operator != "" {
			who += " by " + e.Operator
		}
		v.Rows = append(v.Rows, web.Line{Cells: []web.Cell{text(e.Action), subject, text(who), text(e.Address), when(e.Time)}})
	}
	s.render(w, r, http.StatusOK, v)
	return nil
}

func (s *server) webBans(w http.ResponseWriter, r *http.Request, id auth.Identity, desk *admin.Desk) error {
	bans, err := desk.Bans(r.Context())
	if err != nil {
		return err
	}
	v := web.List{
		Page: pageOf(id, "Bans", "bans"), Exports: exports("bans", nil), Empty: "Nobody is banned.",
		Intro:   "Networks whose requests are refused for a while, for what looked like an attack. Servers notice within seconds that one is lifted.",
		Columns: []web.Column{{Label: "Network"}, {Label: "Reason"}, {Label: "Since"}, {Label: "Until"}},
	}
	for _, b := range bans {
		v.Rows = append(v.Rows, web.Line{Cells: []web.Cell{text(b.Network.String()), text(b.Reason), when(b.Created), when(b.Until)},
			Actions: []web.Form{{Action: "/do/admin/lift", Button: "Lift it", Hidden: []web.Option{{Label: "network", Value: b.Network.String()}}}}})
	}
	s.render(w, r, http.StatusOK, v)
	return nil
}

// upkeepPage is how many runs the page of upkeep shows.
const upkeepPage = 50

func (s *server) webUpkeep(w http.ResponseWriter, r *http.Request, id auth.Identity, desk *admin.Desk) error {
	f := &filter{values: r.URL.Query()}
	offset := int(f.number("from", 0, 1<<30))
	if f.err != nil {
		return f.err
	}
	runs, err := desk.Runs(r.Context(), upkeepPage, offset)
	if err != nil {
		return err
	}
	told, err := desk.Retentions(r.Context())
	if err != nil {
		return err
	}
	v := web.List{
		Page: pageOf(id, "Upkeep", "upkeep"), Intro: retentionText(told), Exports: exports("runs", nil), Empty: "Nothing has run yet. The server collects garbage by itself, every few hours.",
		Columns: []web.Column{{Label: "Run"}, {Label: "Result"}, {Label: "Started by"}, {Label: "On"}, {Label: "Started"}, {Label: "Ended"}},
	}
	for _, run := range runs {
		v.Live = v.Live || run.Live()
		v.Rows = append(v.Rows, web.Line{Cells: runCells(run)})
	}
	if len(runs) == upkeepPage {
		v.More = further(f.values, "from", strconv.Itoa(offset+upkeepPage))
	}
	if s.admin.Upkeep != nil && !v.Live {
		v.Forms = []web.Form{
			{Title: "Collect garbage", Action: "/do/admin/run", Button: "Start", Hidden: []web.Option{{Label: "kind", Value: admin.GC}},
				Intro: "Lets go of the past that was kept long enough, and of content that nothing names any more, a day after it became so. It can run at any time."},
			{Title: "Check the store", Action: "/do/admin/run", Button: "Start", Hidden: []web.Option{{Label: "kind", Value: admin.Fsck}},
				Intro:  "Compares rows, objects and sizes. It changes nothing: repairs are for the command, satcheld fsck --repair.",
				Fields: []web.Field{{Name: "deep", Label: "How", Type: "select", Value: "", Options: []web.Option{{Label: "quick"}, {Value: "on", Label: "deep: read all content"}}}}},
		}
	}
	s.render(w, r, http.StatusOK, v)
	return nil
}
