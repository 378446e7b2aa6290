package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"satchel/api"
	"satchel/api/chunk"
	"satchel/api/client"
)

// A group of files is sent as one pack and committed as one batch.
const (
	perGroup = 2000
	perDir   = 100
)

// group is what one batch creates.
type group struct {
	mutations []api.Mutation
	bytes     int64
}

// commits lets one client create files, as fast as it can: the next pack is
// on its way while a batch is committed.
func (l *lab) commits(ctx context.Context, n int) error {
	drive, info, err := l.user(ctx, "anna")
	if err != nil {
		return err
	}
	before, err := processorTimes(l.server.Pid())
	if err != nil {
		return err
	}
	begin := time.Now()
	bytes, files, err := createFiles(ctx, drive, info.Root, n)
	took := time.Since(begin)
	if err != nil {
		return err
	}
	after, err := processorTimes(l.server.Pid())
	if err != nil {
		return err
	}
	if info, err = drive.Info(ctx); err != nil || info.Files != int64(n) || info.Used != bytes {
		return fmt.Errorf("the drive has %d files of %d bytes, not %d of %d: %w", info.Files, info.Used, n, bytes, err)
	}
	if err := readBack(ctx, drive, files); err != nil {
		return err
	}
	l.note(fmt.Sprintf("%d new files of 100 to 4099 bytes, metadata and content, from one client", n),
		"**%.0f files/s** (%.1f MB/s)", float64(n)/took.Seconds(), float64(bytes)/1e6/took.Seconds())
	spent := after.since(before)
	share := func(d time.Duration) float64 { return 100 * d.Seconds() / spent.all().Seconds() }
	l.note("processor time then: PostgreSQL, satcheld, the client", "%.0f %%, %.0f %%, %.0f %% of %.1f s",
		share(spent.postgres), share(spent.satcheld), share(spent.client), spent.all().Seconds())
	l.note("PostgreSQL had a processor", "%.0f %% of the time", 100*spent.postgres.Seconds()/took.Seconds())
	return nil
}

func createFiles(ctx context.Context, drive *client.Drive, root api.ID, n int) (bytes int64, files []api.Mutation, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ready := make(chan group, 1)
	go func() {
		defer close(ready)
		var pack [2]chunk.PackWriter // one may still be read by a connection while the other is filled
		random := rand.NewChaCha8([32]byte{1})
		for done, i := 0, 0; done < n; i++ {
			g, err := prepare(&pack[i%2], random, root, done, min(perGroup, n-done))
			if err == nil {
				err = drive.PutPack(ctx, pack[i%2].Bytes())
			}
			if err != nil {
				cancel(err)
				return
			}
			done += perGroup
			select {
			case ready <- g:
			case <-ctx.Done():
				return
			}
		}
	}()
	incarnation, number := api.NewID(), uint64(0)
	for g := range ready {
		number++
		c, err := drive.Commit(ctx, api.Batch{Incarnation: incarnation, Number: number, Mutations: g.mutations})
		if err != nil {
			return 0, nil, err
		}
		for _, o := range c.Outcomes {
			if o.Status != api.Applied {
				return 0, nil, fmt.Errorf("a new file was %s: %s", o.Status, o.Message)
			}
		}
		bytes += g.bytes
		files = append(files, g.mutations...)
	}
	return bytes, files, context.Cause(ctx)
}

// prepare makes the files from first to first+n, and a pack of their content.
func prepare(pack *chunk.PackWriter, random *rand.ChaCha8, root api.ID, first, n int) (g group, err error) {
	pack.Reset()
	buf := make([]byte, 4099)
	var dir api.ID
	for i := first; i < first+n; i++ {
		now := time.Now().UnixNano()
		if i%perDir == 0 {
			dir = api.NewID()
			g.mutations = append(g.mutations, api.Mutation{Op: api.OpCreate, Node: dir, Parent: root, Name: api.Name(fmt.Sprintf("dir-%06d", i/perDir)),
				Attr: &api.Attr{Type: api.Directory}, Time: now})
		}
		content := buf[:100+random.Uint64()%4000]
		random.Read(content)
		v, err := chunk.Version(bytes.NewReader(content), func(c api.Chunk, data []byte) error { return pack.Add(c.Hash, data) })
		if err != nil {
			return g, err
		}
		v.ID = api.NewID()
		g.bytes += v.Size
		g.mutations = append(g.mutations, api.Mutation{Op: api.OpCreate, Node: api.NewID(), Parent: dir, Name: api.Name(fmt.Sprintf("file-%07d.txt", i)),
			Attr: &api.Attr{Type: api.File}, Version: &v, Time: now})
	}
	return g, nil
}

// readBack looks whether some of the files are what was sent.
func readBack(ctx context.Context, drive *client.Drive, files []api.Mutation) error {
	var wanted []api.ContentRef
	var hashes []api.Hash
	for range 100 {
		if m := files[rand.IntN(len(files))]; m.Version != nil {
			wanted, hashes = append(wanted, api.ContentRef{Node: m.Node}), append(hashes, m.Version.SHA256)
		}
	}
	seen := 0
	err := drive.Contents(ctx, wanted, func(i int, _ api.Version, body io.Reader) error {
		b, err := io.ReadAll(body)
		if err == nil && api.Hash(sha256.Sum256(b)) != hashes[i] {
			err = fmt.Errorf("a file came back as other %d bytes", len(b))
		}
		seen++
		return err
	})
	if err == nil && seen != len(wanted) {
		err = fmt.Errorf("%d of %d files came back", seen, len(wanted))
	}
	return err
}
