package server

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"satchel/api"
	"satchel/api/auth"
	"satchel/api/web"
)

// pairs is a file's metadata as fields of a form: texts as they are, all else
// (and a text that would be read as something else) as JSON.
func pairs(metadata json.RawMessage) (all []web.Pair) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(metadata, &fields) != nil {
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		value := string(fields[key])
		var text string
		if json.Unmarshal(fields[key], &text) == nil && value != "null" && !json.Valid([]byte(text)) {
			value = text
		}
		all = append(all, web.Pair{Key: key, Value: value})
	}
	return all
}

// webSetMetadata keeps what the form says about a file.
func (s *server) webSetMetadata(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	d, path, _, err := s.formFile(r, id)
	if err != nil {
		return err
	}
	keys, values := r.PostForm["key"], r.PostForm["value"]
	if len(keys) != len(values) {
		return api.Errorf(api.Invalid, "each name needs a value")
	}
	fields := map[string]json.RawMessage{}
	for i, key := range keys {
		if key = strings.TrimSpace(key); key == "" {
			continue
		}
		value := strings.TrimSpace(values[i])
		if !json.Valid([]byte(value)) {
			text, err := json.Marshal(values[i])
			if err != nil {
				return err
			}
			value = string(text)
		}
		fields[key] = json.RawMessage(value)
	}
	b, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	if err := d.SetMetadata(r.Context(), path, b); err != nil {
		return err
	}
	return back(w, r, fileURL(path))
}
