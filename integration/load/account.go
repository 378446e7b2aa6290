package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/api/client"
)

// account is one user: a folder of files that one client writes.
type account struct {
	cred  api.Credentials
	drive api.ID
	dir   api.ID

	mu      sync.Mutex
	files   []file               // what was acknowledged
	written map[api.ID]time.Time // versions, and when they were acknowledged, of which the waiting client has not heard
	early   map[api.ID]time.Time // of which it heard before that
	batch   struct {
		incarnation api.ID
		number      uint64
	}
}

// file is what an acknowledged write left.
type file struct {
	node, version api.ID
	name          api.Name
	size          int64
	hash          api.Hash
}

// wrongContent is content that is not what was written: nothing excuses it.
type wrongContent struct{ message string }

func (e *wrongContent) Error() string { return e.message }

// same compares content with what was written.
func (f file) same(r io.Reader) error {
	sum := sha256.New()
	n, err := io.Copy(sum, r)
	if err == nil && (n != f.size || api.Hash(sum.Sum(nil)) != f.hash) {
		err = &wrongContent{fmt.Sprintf("%s came back as other %d bytes; %d were written", f.name, n, f.size)}
	}
	return err
}

func newAccount(ctx context.Context, s *site, i int) (*account, error) {
	a := &account{written: map[api.ID]time.Time{}, early: map[api.ID]time.Time{}, dir: api.NewID()}
	a.batch.incarnation = api.NewID()
	email, server := fmt.Sprintf("user-%d@example.org", i), s.servers[0]
	if err := server.AddUser(ctx, email, password, "editor"); err != nil {
		return nil, err
	}
	cred, err := client.Login(ctx, server.URL, email, password, "load")
	if err != nil {
		return nil, err
	}
	a.cred = cred
	c, err := client.New(server.URL, cred, nil)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	d := c.Drive("home")
	info, err := d.Info(ctx)
	if err != nil {
		return nil, err
	}
	a.drive = info.ID
	return a, a.commit(ctx, d, api.Mutation{Op: api.OpCreate, Node: a.dir, Parent: info.Root, Name: "load", Attr: &api.Attr{Type: api.Directory}, Time: time.Now().UnixNano()})
}

// commit sends one mutation; a batch that is sent again is the same.
func (a *account) commit(ctx context.Context, d *client.Drive, m api.Mutation) error {
	done, err := d.Commit(ctx, api.Batch{Incarnation: a.batch.incarnation, Number: a.batch.number + 1, Mutations: []api.Mutation{m}})
	if err != nil {
		return err
	}
	a.batch.number++
	if o := done.Outcomes[0]; o.Status != api.Applied {
		return fmt.Errorf("a write was %s: %s", o.Status, o.Message)
	}
	return nil
}

// A folder has so many files; then they are written again.
const perFolder = 200

// write makes files and new versions of them.
func (a *account) write(ctx context.Context, d *client.Drive, p *phase) error {
	for p.rest(p.pause) {
		if err := a.writeOne(ctx, d, p); err != nil {
			return err
		}
	}
	return nil
}

func (a *account) writeOne(ctx context.Context, d *client.Drive, p *phase) error {
	size := 1 + rand.IntN(64<<10)
	if rand.IntN(20) == 0 {
		size = 1<<20 + rand.IntN(2<<20)
	}
	content := make([]byte, size)
	rand.NewChaCha8([32]byte([]byte(api.NewID().String()))).Read(content)
	var pack chunk.PackWriter
	v, err := chunk.Version(bytes.NewReader(content), func(c api.Chunk, data []byte) error { return pack.Add(c.Hash, data) })
	if err != nil {
		return err
	}
	v.ID = api.NewID()
	f := file{node: api.NewID(), version: v.ID, size: v.Size, hash: v.SHA256}
	m := api.Mutation{Op: api.OpCreate, Node: f.node, Parent: a.dir, Version: &v, Attr: &api.Attr{Type: api.File}, Time: time.Now().UnixNano()}
	at := len(a.files)
	if at >= perFolder {
		at = rand.IntN(perFolder)
		old := a.files[at]
		f.node, m.Node, m.Op, m.Base, m.Attr = old.node, old.node, api.OpWrite, old.version, nil
	}
	f.name = api.Name(fmt.Sprintf("file-%03d", at))
	m.Name = f.name

	begin := time.Now()
	if err := p.patiently(ctx, func() error { return d.PutPack(ctx, pack.Bytes()) }); err != nil {
		return err
	}
	if err := p.patiently(ctx, func() error { return a.commit(ctx, d, m) }); err != nil {
		return err
	}
	p.writes.add(time.Since(begin))
	p.bytes.Add(v.Size)
	a.acknowledged(at, f, p)
	return nil
}

// acknowledged notes a write, unless the waiting client was faster.
func (a *account) acknowledged(at int, f file, p *phase) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at == len(a.files) {
		a.files = append(a.files, f)
	} else {
		// Devices hear what a file is now, so the former version may never be told of.
		delete(a.written, a.files[at].version)
		delete(a.early, a.files[at].version)
		a.files[at] = f
	}
	if _, ok := a.early[f.version]; ok {
		delete(a.early, f.version)
		p.heard.add(0)
		return
	}
	a.written[f.version] = time.Now()
}

// unheard is how many acknowledged writes the waiting client was not told of.
func (a *account) unheard() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.written)
}

// told notes that the waiting client heard of versions.
func (a *account) told(nodes []api.Node, p *phase) {
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range nodes {
		if n.Type != api.File {
			continue
		}
		if at, ok := a.written[n.Version]; ok {
			p.heard.add(now.Sub(at))
			delete(a.written, n.Version)
		} else {
			a.early[n.Version] = now
		}
	}
}

// read reads files whole, and the folder now and then.
func (a *account) read(ctx context.Context, d *client.Drive, p *phase) error {
	for p.rest(p.pause / 2) {
		f, ok := a.some()
		if !ok {
			if !p.rest(20 * time.Millisecond) { // nothing is written yet
				return nil
			}
			continue
		}
		begin := time.Now()
		if rand.IntN(10) == 0 {
			if err := p.patiently(ctx, func() error { _, err := d.Children(ctx, a.dir, "", 0, nil); return err }); err != nil {
				return err
			}
			p.lists.add(time.Since(begin))
			continue
		}
		err := p.patiently(ctx, func() error {
			body, err := d.Content(ctx, f.node, f.version, 0, -1)
			if err != nil {
				return err
			}
			defer body.Close()
			return f.same(body)
		})
		if err != nil {
			return err
		}
		p.reads.add(time.Since(begin))
		p.bytes.Add(f.size)
	}
	return nil
}

// some is one of the files.
func (a *account) some() (file, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.files) == 0 {
		return file{}, false
	}
	return a.files[rand.IntN(len(a.files))], true
}

// heartbeat is how long a device waits for changes, as the client's does.
const heartbeat = 20 * time.Second

// listen waits for changes as an idle device does, until ctx ends. The error is never nil.
func (a *account) listen(ctx context.Context, d *client.Drive, p *phase) error {
	var info api.DriveInfo
	err := p.patiently(ctx, func() (err error) { info, err = d.Info(ctx); return err })
	p.begun.Done()
	if err != nil {
		return err
	}
	life, seq := api.NewID(), info.Seq
	for {
		var page api.Changes
		err = p.patiently(ctx, func() (err error) {
			page, err = d.Changes(ctx, life, info.Epoch, seq, heartbeat)
			return err
		})
		if err != nil {
			return err
		}
		seq = page.Seq
		a.told(page.Nodes, p)
	}
}
