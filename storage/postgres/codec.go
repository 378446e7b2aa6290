package postgres

import (
	"database/sql/driver"

	"github.com/jackc/pgx/v5/pgtype"

	"satchel/api"
)

// registerTypes lets ids, hashes and names travel in PostgreSQL's binary
// format, alone and in arrays: api.ID as uuid (zero is NULL), api.Hash as bytea
// (zero is NULL), api.Name as text in its escaped form.
func registerTypes(m *pgtype.Map) {
	register(m, "uuid", pgtype.UUIDOID, pgtype.UUIDArrayOID, foreign{pgtype.UUIDCodec{}})
	register(m, "bytea", pgtype.ByteaOID, pgtype.ByteaArrayOID, foreign{pgtype.ByteaCodec{}})
	register(m, "text", pgtype.TextOID, pgtype.TextArrayOID, foreign{pgtype.TextCodec{}})
}

func register(m *pgtype.Map, name string, oid, arrayOID uint32, codec pgtype.Codec) {
	t := &pgtype.Type{Name: name, OID: oid, Codec: codec}
	m.RegisterType(t)
	m.RegisterType(&pgtype.Type{Name: "_" + name, OID: arrayOID, Codec: &pgtype.ArrayCodec{ElementType: t}})
}

// foreign adds package api's types to a codec that can't know them. It must do
// so in the codec: pgx prefers a type's sql.Scanner and driver.Valuer, which
// work on text, to any wrapper registered in the map.
type foreign struct{ pgtype.Codec }

func (c foreign) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	var wrap func(any) any
	switch value.(type) {
	case api.ID:
		wrap = func(v any) any { id := v.(api.ID); return pgtype.UUID{Bytes: id, Valid: !id.IsZero()} }
	case api.Hash:
		wrap = func(v any) any {
			if h := v.(api.Hash); !h.IsZero() {
				return h[:]
			}
			return []byte(nil)
		}
	case api.Name:
		wrap = func(v any) any { return v.(api.Name).Escape() }
	default:
		return c.Codec.PlanEncode(m, oid, format, value)
	}
	next := c.Codec.PlanEncode(m, oid, format, wrap(value))
	if next == nil {
		return nil
	}
	return encodePlan{wrap, next}
}

type encodePlan struct {
	wrap func(any) any
	next pgtype.EncodePlan
}

func (p encodePlan) Encode(value any, buf []byte) ([]byte, error) {
	return p.next.Encode(p.wrap(value), buf)
}

func (c foreign) PlanScan(m *pgtype.Map, oid uint32, format int16, target any) pgtype.ScanPlan {
	var via any
	switch target.(type) {
	case *api.ID:
		via = new(pgtype.UUID)
	case *api.Hash:
		via = new([]byte)
	case *api.Name:
		via = new(pgtype.Text)
	default:
		return c.Codec.PlanScan(m, oid, format, target)
	}
	next := c.Codec.PlanScan(m, oid, format, via)
	if next == nil {
		return nil
	}
	return scanPlan{next}
}

type scanPlan struct{ next pgtype.ScanPlan }

func (p scanPlan) Scan(src []byte, target any) error {
	switch dst := target.(type) {
	case *api.ID:
		var id pgtype.UUID
		if err := p.next.Scan(src, &id); err != nil {
			return err
		}
		*dst = id.Bytes
	case *api.Hash:
		var b []byte
		if err := p.next.Scan(src, &b); err != nil {
			return err
		}
		*dst = api.Hash{}
		copy(dst[:], b)
	case *api.Name:
		var s pgtype.Text
		if err := p.next.Scan(src, &s); err != nil {
			return err
		}
		*dst = api.Unescape(s.String)
	}
	return nil
}

// DecodeDatabaseSQLValue is part of [pgtype.Codec].
func (c foreign) DecodeDatabaseSQLValue(m *pgtype.Map, oid uint32, format int16, src []byte) (driver.Value, error) {
	return c.Codec.DecodeDatabaseSQLValue(m, oid, format, src)
}
