package server

import (
	"encoding/json"
	"io"
	"net/http"

	"satchel/api"
)

// vfsSettings is who has what in a drive: the form of vfs-settings.json, which
// can be imported.
type vfsSettings struct {
	Owner  string     `json:"owner"`
	Groups []vfsGroup `json:"groups"`
	ACL    []vfsGrant `json:"acl"`
}

// vfsGroup is users who are granted the same. A drive keeps no groups: what is
// granted to one is granted to its members.
type vfsGroup struct {
	Name    string   `json:"name"`
	Members []string `json:"members"`
}

type vfsGrant struct {
	api.Grant
	Group string `json:"group,omitempty"` // in place of userId
}

// vfsGetACL shows a drive's grants to who decides about them.
func (s *server) vfsGetACL(w http.ResponseWriter, r *http.Request, t *vfsTarget) error {
	grants, err := t.drive.Grants(r.Context())
	if err != nil {
		return err
	}
	settings := vfsSettings{Owner: t.drive.Owner().String(), Groups: []vfsGroup{}, ACL: make([]vfsGrant, len(grants))}
	for i, g := range grants {
		settings.ACL[i].Grant = g
	}
	writeJSON(w, http.StatusOK, settings)
	return nil
}

// vfsChangeACL grants or revokes one entry.
func (s *server) vfsChangeACL(revoke bool) vfsHandler {
	return func(w http.ResponseWriter, r *http.Request, t *vfsTarget) error {
		var g api.Grant
		if err := readSettings(w, r, &g); err != nil {
			return err
		}
		change := t.drive.Grant
		if revoke {
			change = t.drive.Revoke
		}
		if err := change(r.Context(), g); err != nil {
			return err
		}
		return s.vfsGetACL(w, r, t)
	}
}

// vfsImportACL adds the grants of a settings file, all or none of them.
func (s *server) vfsImportACL(w http.ResponseWriter, r *http.Request, t *vfsTarget) error {
	var in vfsSettings
	if err := readSettings(w, r, &in); err != nil {
		return err
	}
	grants, err := in.grants()
	if err != nil {
		return err
	}
	if err := t.drive.Grant(r.Context(), grants...); err != nil {
		return err
	}
	return s.vfsGetACL(w, r, t)
}

// maxGrants is the most grants that one settings file may make: groups multiply them.
const maxGrants = 10_000

// grants are what the settings grant, to each member of a group by himself.
func (in vfsSettings) grants() ([]api.Grant, error) {
	members := map[string][]string{}
	for _, g := range in.Groups {
		members[g.Name] = g.Members
	}
	var grants []api.Grant
	for _, entry := range in.ACL {
		users := []string{entry.UserID}
		if entry.Group != "" {
			var ok bool
			if users, ok = members[entry.Group]; !ok {
				return nil, api.Errorf(api.Invalid, "the settings have no group %q", entry.Group)
			}
		}
		if len(grants)+len(users) > maxGrants {
			return nil, api.Errorf(api.TooLarge, "the settings make more than %d grants: import them in parts", maxGrants)
		}
		for _, user := range users {
			g := entry.Grant
			g.UserID = user
			grants = append(grants, g)
		}
	}
	return grants, nil
}

// maxSettings is the largest settings file in bytes.
const maxSettings = 4 << 20

func readSettings(w http.ResponseWriter, r *http.Request, in any) error {
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSettings))
	if err != nil {
		return tooLarge(err)
	}
	if err := json.Unmarshal(b, in); err != nil {
		if api.KindOf(err) == api.Invalid {
			return err
		}
		return api.Errorf(api.Invalid, "the body is not JSON of this form: %w", err)
	}
	return nil
}

// vfsImport imports a local mount's directory again.
func (s *server) vfsImport(w http.ResponseWriter, r *http.Request) {
	id, err := s.identify(r)
	if err != nil {
		s.apiError(w, r, err)
		return
	}
	done, err := s.drives.Import(r.Context(), caller(id), r.PathValue("mount"))
	if err != nil {
		s.apiError(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"success": true, "imported": done})
}
