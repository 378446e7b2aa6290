package backup

import (
	"io"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"

	"satchel/api"
	"satchel/storage/mirror"
	"satchel/storage/postgres"
)

// visitor is told what a stream has, in its order. Readers are valid during the
// call.
type visitor struct {
	header func(Header) error
	key    func([]byte) error
	table  func(postgres.Table, io.Reader) error
	pack   func(postgres.KeptPack, io.Reader) error
}

// walk reads a stream to its end and verifies its hash. Until it has returned
// nil, nothing that the visitor was told is certain.
func walk(r io.Reader, v visitor) (total Summary, err error) {
	s, err := newReader(r)
	if err != nil {
		return total, err
	}
	unpacked, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return total, err
	}
	defer unpacked.Close()
	for first := true; ; first = false {
		kind, payload, err := s.next()
		if err == io.EOF {
			return total, nil
		}
		if err == nil && first != (kind == frameHeader) {
			err = damaged()
		}
		if err == nil {
			err = s.visit(kind, payload, v, unpacked, &total)
		}
		if err != nil {
			return total, err
		}
	}
}

// visit tells the visitor of one frame, and of those that belong to it.
func (s *reader) visit(kind byte, payload []byte, v visitor, unpacked *zstd.Decoder, total *Summary) error {
	body := &data{s: s}
	switch kind {
	case frameHeader:
		var h Header
		if err := decode(payload, &h); err != nil {
			return err
		}
		return v.header(h)
	case frameKey:
		return v.key(slices.Clone(payload))
	case frameSummary:
		return decode(payload, total)
	case frameTable:
		var t postgres.Table
		if err := decode(payload, &t); err != nil {
			return err
		}
		if err := unpacked.Reset(body); err != nil {
			return body.reason()
		}
		if err := v.table(t, &rows{unpacked, body}); err != nil {
			return err
		}
	case framePack:
		var p postgres.KeptPack
		if err := decode(payload, &p); err != nil {
			return err
		}
		if err := v.pack(p, body); err != nil {
			return err
		}
	default:
		return damaged()
	}
	_, err := io.Copy(io.Discard, body) // to its end
	return err
}

// rows reads what a table's frames have. What can't be unpacked is damaged.
type rows struct {
	unpacked *zstd.Decoder
	body     *data
}

func (r *rows) Read(b []byte) (int, error) {
	n, err := r.unpacked.Read(b)
	if err != nil && err != io.EOF {
		err = r.body.reason()
	}
	return n, err
}

// reason is why something could not be unpacked.
func (d *data) reason() error {
	if d.err != nil && d.err != io.EOF {
		return d.err
	}
	return damaged()
}

// Check reads a whole backup and compares its hashes.
func Check(r io.Reader, o Options) (report Report, err error) {
	defer report.time(time.Now())
	counted := &reading{r: r}
	var lines, content int64
	report.Missing, report.Damaged = []api.ID{}, []api.ID{}
	var damaged []api.ID
	total, err := walk(counted, visitor{
		header: func(h Header) error {
			report.Header = h
			return nil
		},
		key: func([]byte) error { return nil },
		table: func(_ postgres.Table, rows io.Reader) error {
			n, err := countLines(rows)
			lines += n
			o.progress("rows", lines, 0)
			return err
		},
		pack: func(p postgres.KeptPack, body io.Reader) error {
			whole, err := mirror.DrainPack(body)
			if !whole && err == nil {
				damaged = append(damaged, p.ID)
			}
			report.Copied++
			content += p.Bytes
			o.progress("content", content, report.Bytes)
			return err
		},
	})
	if err != nil {
		return report, err
	}
	report.Summary, report.Size = total, counted.n
	report.Damaged = union(total.Damaged, damaged)
	if report.Rows != lines || report.Content == Inside && report.Copied+int64(len(total.Missing)) != report.Packs {
		return report, api.Errorf(api.Invalid, "the backup has %d rows of %d and %d packs of %d", lines, report.Rows, report.Copied, report.Packs)
	}
	return report, nil
}

// union is what is in either list.
func union(a, b []api.ID) []api.ID {
	all := slices.Clone(a)
	for _, id := range b {
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	return all
}

// countLines is how many rows COPY's text has: each ends with a newline, and
// those within values are escaped.
func countLines(r io.Reader) (n int64, err error) {
	buf := make([]byte, 64<<10)
	for {
		k, err := r.Read(buf)
		for _, b := range buf[:k] {
			if b == '\n' {
				n++
			}
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// reading counts what is read through it.
type reading struct {
	r io.Reader
	n int64
}

func (r *reading) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	r.n += int64(n)
	return n, err
}
