package postgres

import (
	"fmt"
	"strconv"
	"strings"

	"satchel/api"
)

// statement builds a query over files, or other rows. Values are parameters
// always; what is put into the text are names from tables in this package.
type statement struct {
	types    ContentTypes
	with     string // the WITH clause that defines source, if it is not in the schema
	source   string // a table expression, over whose rows f the columns are expressions
	columns  map[Column]columnExpr
	selected string // what list returns of a row f
	last     string // the order of rows that are equal otherwise
	args     []any
}

// columnExpr is a column as an expression over a source's row f.
type columnExpr struct {
	expr  string
	parse func(string) (any, error)
	text  bool
}

// fileStatement is a statement over files.
func fileStatement(types ContentTypes) statement {
	return statement{
		types: types, columns: fileColumns, last: "f.file_path, f.user_id",
		selected: "f.id, f.user_id, f.file_path, f.description, f.size, f.hash, f.created_at, f.updated_at",
	}
}

// arg adds a parameter and returns its placeholder.
func (s *statement) arg(v any) string {
	s.args = append(s.args, v)
	return "$" + strconv.Itoa(len(s.args))
}

var fileColumns = map[Column]columnExpr{
	ColumnID:          {"f.id", parseID, false},
	ColumnUserID:      {"f.user_id", parseID, false},
	ColumnFilePath:    {"f.file_path", parseText, true},
	ColumnDescription: {"f.description", parseText, true},
	ColumnSize:        {"f.size", parseSize, false},
	ColumnContentType: {"t.content_type", parseText, true},
	ColumnHash:        {"encode(f.hash, 'hex')", parseText, true},
	ColumnCreatedAt:   {"f.created_at", parseNanoseconds, false},
	ColumnUpdatedAt:   {"f.updated_at", parseTime, false},
}

const listed = `id, user_id, file_path, name, description, size, hash, created_at, updated_at`

// joined is the part of every source behind its entries e (parent, name, node)
// and the path of their directory. Each entry is followed by keys: OFFSET 0 keeps PostgreSQL from reading all versions for each
// node instead, which it may take for few as long as nobody has counted them.
const joined = `
	CROSS JOIN LATERAL (SELECT * FROM nodes WHERE drive = $1 AND id = e.node AND type = 'f' OFFSET 0) n
	CROSS JOIN LATERAL (SELECT * FROM versions WHERE drive = $1 AND id = n.version OFFSET 0) v
	LEFT JOIN LATERAL (SELECT * FROM documents WHERE drive = $1 AND id = n.document OFFSET 0) m ON true`

const joinedColumns = `n.document, $2::uuid, %s, e.name, coalesce(m.description, ''), n.size, v.sha256, n.created, v.created`

// documents makes the source the files of some documents, whose paths are
// found by walking up.
func (s *statement) documents(ids, root string) {
	s.with = `WITH RECURSIVE files (` + listed + `) AS (
		SELECT ` + fmt.Sprintf(joinedColumns, "p.path") + `
		FROM nodes w
		JOIN entries e ON e.drive = $1 AND e.node = w.id
		CROSS JOIN LATERAL (
			WITH RECURSIVE up (id, path) AS (
				SELECT e.parent, e.name::text COLLATE "C"
				UNION ALL
				SELECT x.parent, x.name || '/' || up.path
				FROM up
				CROSS JOIN LATERAL (SELECT parent, name FROM entries WHERE drive = $1 AND node = up.id AND up.id <> ` + root + ` OFFSET 0) x
			)
			SELECT path FROM up WHERE id = ` + root + `) p` + joined + `
		WHERE w.drive = $1 AND w.document = ANY (` + ids + `::uuid[])
	)`
	s.source = "files"
}

// below makes the source the files below a directory, or only those in it.
func (s *statement) below(dir, path string, onlyIn bool) {
	walk := `
			UNION ALL
			SELECT d.id, t.path || d.name || '/'
			FROM tree t
			CROSS JOIN LATERAL (
				SELECT d.id, e.name
				FROM dirs d
				CROSS JOIN LATERAL (SELECT name FROM entries WHERE drive = $1 AND node = d.id OFFSET 0) e
				WHERE d.drive = $1 AND d.parent = t.id
				OFFSET 0) d`
	if onlyIn {
		walk = ""
	}
	s.with = `WITH RECURSIVE tree (id, path) AS (
			SELECT ` + dir + `::uuid, ` + path + `::text COLLATE "C"` + walk + `
		), files (` + listed + `) AS (
			SELECT ` + fmt.Sprintf(joinedColumns, "t.path || e.name") + `
			FROM tree t CROSS JOIN LATERAL (SELECT name, node FROM entries WHERE drive = $1 AND parent = t.id OFFSET 0) e` + joined + `
		)`
	s.source = "files"
}

func (s *statement) list(q FileQuery) (string, error) {
	body, err := s.body(q)
	if err != nil {
		return "", err
	}
	order := make([]string, 0, len(q.Orders)+2)
	for _, o := range q.Orders {
		c, ok := s.columns[o.Column]
		if !ok {
			return "", errNoColumn(o.Column)
		}
		term := c.expr + " ASC"
		if o.Descending {
			term = c.expr + " DESC"
		}
		if o.NullsFirst {
			term += " NULLS FIRST"
		} else {
			term += " NULLS LAST"
		}
		order = append(order, term)
	}
	order = append(order, s.last)
	query := s.with + ` SELECT ` + s.selected + body + ` ORDER BY ` + strings.Join(order, ", ")
	if q.Limit != 0 {
		query += ` LIMIT ` + s.arg(max(q.Limit, 0))
	}
	if q.Offset > 0 {
		query += ` OFFSET ` + s.arg(q.Offset)
	}
	return query, nil
}

func (s *statement) count(q FileQuery) (string, error) {
	body, err := s.body(q)
	return s.with + ` SELECT count(*)` + body, err
}

// body is the FROM and WHERE clauses.
func (s *statement) body(q FileQuery) (string, error) {
	from := ` FROM ` + s.source + ` f`
	if q.mentions(ColumnContentType) {
		from += ` CROSS JOIN LATERAL (SELECT coalesce((
			SELECT k.name FROM unnest(` + s.arg(s.types.Extensions) + `::text[], ` + s.arg(s.types.Names) + `::text[]) k (extension, name)
			WHERE k.extension = lower(substring(f.name FROM '\.([^.]*)$')) LIMIT 1), ` + s.arg(s.types.Unknown) + `::text) AS content_type) t`
	}
	where := make([]string, 0, len(q.Filters))
	for _, f := range q.Filters {
		condition, err := s.condition(f)
		if err != nil {
			return "", err
		}
		where = append(where, condition)
	}
	if len(where) > 0 {
		from += ` WHERE ` + strings.Join(where, " AND ")
	}
	return from, nil
}

var operators = map[Comparison]string{
	Eq: "=", Neq: "<>", Gt: ">", Gte: ">=", Lt: "<", Lte: "<=",
}

func (s *statement) condition(f Filter) (string, error) {
	c, ok := s.columns[f.Column]
	if !ok {
		return "", errNoColumn(f.Column)
	}
	if f.Op != In && len(f.Values) != 1 {
		return "", api.Errorf(api.Invalid, "the filter on %s needs one value", f.Column)
	}
	not := ""
	if f.Negate {
		not = "NOT "
	}
	switch f.Op {
	case Is:
		if f.Values[0] != "null" {
			return "", api.Errorf(api.Invalid, "%s can be compared by is with null only", f.Column)
		}
		return c.expr + " IS " + not + "NULL", nil
	case Like, ILike:
		if !c.text {
			return "", api.Errorf(api.Invalid, "%s is not text, so it has no patterns", f.Column)
		}
		pattern, err := parseText(f.Values[0])
		if err != nil {
			return "", err
		}
		if p := pattern.(string); strings.HasSuffix(strings.ReplaceAll(p, `\\`, ""), `\`) {
			return "", api.Errorf(api.Invalid, "the pattern %q ends in a backslash", p)
		}
		if f.Op == Like {
			return not + "(" + c.expr + " LIKE " + s.arg(pattern) + ")", nil
		}
		// "C", as paths are sorted, knows the case of ASCII only.
		return not + "(" + c.expr + ` COLLATE "default" ILIKE ` + s.arg(pattern) + ")", nil
	case In:
		terms := make([]string, len(f.Values))
		for i, text := range f.Values {
			v, err := c.parse(text)
			if err != nil {
				return "", err
			}
			terms[i] = s.arg(v)
		}
		if len(terms) == 0 {
			return not + "(false)", nil
		}
		return not + "(" + c.expr + " IN (" + strings.Join(terms, ", ") + "))", nil
	}
	op, ok := operators[f.Op]
	if !ok {
		return "", api.Errorf(api.Invalid, "the operator %q is not known", f.Op)
	}
	v, err := c.parse(f.Values[0])
	if err != nil {
		return "", err
	}
	return not + "(" + c.expr + " " + op + " " + s.arg(v) + ")", nil
}

func errNoColumn(c Column) error {
	return api.Errorf(api.Invalid, "there is no column %q", c)
}

func (q FileQuery) mentions(c Column) bool {
	for _, f := range q.Filters {
		if f.Column == c {
			return true
		}
	}
	for _, o := range q.Orders {
		if o.Column == c {
			return true
		}
	}
	return false
}

// documents is the ids that the query is about, if it names them.
func (q FileQuery) documents() (ids []api.ID, ok bool, err error) {
	for _, f := range q.Filters {
		if f.Column == ColumnID && (f.Op == Eq || f.Op == In) && !f.Negate {
			for _, v := range f.Values {
				id, err := api.ParseID(v)
				if err != nil {
					return nil, false, err
				}
				ids = append(ids, id)
			}
			return nonNil(ids), true, nil
		}
	}
	return nil, false, nil
}

// Named tells whether the query names the documents that it is about, or the one path: no drive is walked for it then.
func (q FileQuery) Named() bool {
	_, ok, _ := q.documents()
	return ok || q.exact()
}

// prefix is what every path that the query finds begins with; the longest of
// what its filters say.
func (q FileQuery) prefix() string {
	longest := ""
	for _, f := range q.Filters {
		if f.Column != ColumnFilePath || f.Negate || len(f.Values) != 1 {
			continue
		}
		prefix := ""
		switch f.Op {
		case Eq:
			prefix = f.Values[0]
		case Like:
			prefix, _, _ = strings.Cut(f.Values[0], "%")
			prefix, _, _ = strings.Cut(prefix, "_")
			prefix, _, _ = strings.Cut(prefix, `\`)
		}
		if len(prefix) > len(longest) {
			longest = prefix
		}
	}
	return longest
}

// exact tells whether the query is about one path.
func (q FileQuery) exact() bool {
	for _, f := range q.Filters {
		if f.Column == ColumnFilePath && f.Op == Eq && !f.Negate && len(f.Values) == 1 && f.Values[0] == q.prefix() {
			return true
		}
	}
	return false
}
