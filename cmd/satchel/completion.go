package main

import (
	"cmp"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"satchel/api"
	"satchel/cmd/internal/cli"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (cmd *completionCmd) Run(sh *shell) error {
	script, err := cli.Script(cmd.Shell, "satchel")
	if err != nil {
		return err
	}
	_, err = sh.stdout.Write([]byte(script))
	return err
}

// completePatience is how long a shell waits for words from the server.
const completePatience = 2 * time.Second

// complete offers words for what a command's struct tags.
func (sh *shell) complete(kind, word string, given cli.Given) (found []cli.Candidate, err error) {
	ctx, cancel := context.WithTimeout(sh.ctx, completePatience)
	defer cancel()
	sh.ctx = ctx
	if sh.profile = given.Flags["profile"]; sh.profile == "" {
		sh.profile = "default"
	}
	add := func(word, about string) {
		found = append(found, cli.Candidate{Word: cli.Printable(word), About: cli.Printable(about)})
	}
	switch kind {
	case "profile":
		files, _ := filepath.Glob(filepath.Join(sh.places.config, "*.json"))
		for _, file := range files {
			add(strings.TrimSuffix(filepath.Base(file), ".json"), "")
		}
		return found, nil
	case "mounted":
		for _, m := range sh.places.registered() {
			add(m.Mountpoint, "")
		}
		return found, nil
	case "remote":
		return sh.completeRemote(word)
	case "trashed", "version", "guest":
		err := sh.completeFrom(kind, given.Args, add)
		return found, err
	}
	c, _, err := sh.connect()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	switch kind {
	case "device":
		devices, err := c.Devices(sh.ctx)
		for _, d := range devices {
			add(d.Name, "last seen "+stamp(d.Seen))
		}
		return found, err
	case "app-password":
		all, err := c.AppPasswords(sh.ctx)
		for _, p := range all {
			add(p.Name, "last used: "+everSeen(p.Seen))
		}
		return found, err
	case "theirs", "addable", "added":
		all, err := c.Theirs(sh.ctx)
		for _, t := range all {
			switch {
			case kind == "added" && t.Path != "":
				add(string(t.Path), theirName(t)+" from "+sharer(t))
			case kind == "theirs" && !t.Ended, kind == "addable" && t.Path == "" && t.Type == api.Directory:
				add(theirName(t), "from "+sharer(t))
			}
		}
		return found, err
	case "access-key":
		all, err := c.AccessKeys(sh.ctx)
		for _, k := range all {
			add(k.Key, k.Name)
		}
		return found, err
	}
	return nil, nil
}

// completeFrom offers what there is of the drive for what was given before: paths in the trash, versions of a file,
// or with whom a path is shared.
func (sh *shell) completeFrom(kind string, args []string, add func(word, about string)) error {
	t, err := sh.connectTree()
	if err != nil {
		return err
	}
	defer t.close()
	switch kind {
	case "trashed":
		page, err := t.Trash(sh.ctx, 0, 1000)
		seen := map[api.Name]bool{}
		for _, item := range page.Items {
			if !seen[item.Path] { // of several the last one comes back
				add(string(item.Path), "deleted "+stamp(item.Deleted))
			}
			seen[item.Path] = true
		}
		return err
	case "version":
		if len(args) == 0 {
			return nil
		}
		_, versions, err := t.history(sh.ctx, args[0])
		for _, v := range versions {
			if !v.Current {
				add(v.ID.String(), "of "+stamp(v.Time)+", "+size(v.Size).String())
			}
		}
		return err
	}
	path := ""
	if len(args) > 0 {
		p, err := t.existing(sh.ctx, args[0])
		if err != nil {
			return err
		}
		path = "/" + api.JoinPath(p.path)
	}
	all, err := t.Shares(sh.ctx, path)
	for _, g := range all.Grants {
		if g.Through != "" {
			continue // it ends there
		}
		if g.UserID == api.Anonymous {
			add("public", "everybody, "+g.Path)
			continue
		}
		add(cmp.Or(g.Email, g.UserID), g.Name)
	}
	for _, l := range all.Links {
		if l.Through == "" {
			add(l.URL, "a link to "+l.Path)
		}
	}
	return err
}

// completeRemote offers the names of the drive's directory that the word is in.
func (sh *shell) completeRemote(word string) (found []cli.Candidate, err error) {
	dir := word[:strings.LastIndexByte(word, '/')+1]
	given := cmp.Or(dir, ".")
	path, err := sh.drivePath(given)
	if err != nil || path != given {
		return nil, err // it is in the mounted folder, which the shell completes
	}
	t, err := sh.connectTree()
	if err != nil {
		return nil, err
	}
	defer t.close()
	p, err := t.existing(sh.ctx, given)
	if err != nil || !p.isDir() {
		return nil, err
	}
	page, err := t.Children(sh.ctx, p.node.ID, "", 1000, nil)
	if err != nil {
		return nil, err
	}
	for _, e := range page.Entries {
		name := dir + string(e.Name)
		if slices.ContainsFunc(page.Nodes, func(n api.Node) bool { return n.ID == e.Node && n.Type == api.Directory }) {
			name += "/"
		}
		found = append(found, cli.Candidate{Word: cli.Printable(name)})
	}
	return found, nil
}
