package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"satchel/storage/postgres/populate"
)

// searches measures the search for words and for parts of names in the whole
// large drive, as the pages ask for them.
func (l *lab) searches(ctx context.Context, made populate.Made) error {
	all, thousand, one := populate.Words(made.Files / 2)
	for _, c := range []struct {
		what, query string
		found       int
	}{
		{"a word that one file has", "q=" + one + "&name=", 1},
		{"a word that a thousand files have", "q=" + thousand + "&name=", 100},
		{"a word that all files have", "q=" + all + "&name=", 100},
		{"a part of a name that all files have", "name=file-", 100},
		{"a part of a name that no file has", "name=nowhere", 0},
	} {
		var first time.Duration
		again, err := median(5, func() error {
			begin := time.Now()
			n, err := l.find(ctx, c.query)
			if first == 0 {
				first = time.Since(begin)
			}
			if err == nil && n != min(c.found, made.Files) {
				err = fmt.Errorf("%d were found, not %d", n, c.found)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("search for %s: %w", c.what, err)
		}
		l.note("search in all of it, over HTTP: "+c.what, "%s, then %s", ms(first), ms(again))
	}
	return nil
}

// find tells how many a search of the large drive finds.
func (l *lab) find(ctx context.Context, query string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.server.URL+"/api/vfs/search/home/?"+query, nil)
	if err != nil {
		return 0, err
	}
	if l.token == "" {
		if l.token, err = l.login(ctx, "boris@example.org"); err != nil {
			return 0, err
		}
	}
	req.Header.Set("Authorization", "Bearer "+l.token)
	var found []json.RawMessage
	err = answer(req, &found)
	return len(found), err
}

// login is a token of an account, as programs get one.
func (l *lab) login(ctx context.Context, email string) (string, error) {
	body, err := json.Marshal(map[string]string{"email": email, "password": password})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, l.server.URL+"/rpc/login", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	var tokens []struct{ Token string }
	if err := answer(req, &tokens); err != nil || len(tokens) != 1 {
		return "", fmt.Errorf("log in as %s: %d tokens: %w", email, len(tokens), err)
	}
	return tokens[0].Token, nil
}

// answer makes a request, and reads the JSON that it is answered with.
func answer(req *http.Request, into any) error {
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %s", req.Method, (&url.URL{Path: req.URL.Path}).String(), res.Status, b)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}
