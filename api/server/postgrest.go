package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"satchel/api"
	"satchel/storage"
	"satchel/storage/postgres"
)

// columnType decides which values and operators a column takes.
type columnType int

const (
	textColumn columnType = iota
	uuidColumn
	numberColumn
	timeColumn
)

// table is rows as PostgREST has them: their columns in order, types, and values.
type table[R any] struct {
	name    string
	columns []tableColumn[R]
}

type tableColumn[R any] struct {
	name  storage.Column
	typ   columnType
	value func(R) any
}

var filesTable = table[storage.File]{"files", []tableColumn[storage.File]{
	{postgres.ColumnID, uuidColumn, func(f storage.File) any { return f.ID }},
	{postgres.ColumnUserID, uuidColumn, func(f storage.File) any { return f.UserID }},
	{postgres.ColumnFilePath, textColumn, func(f storage.File) any { return f.FilePath }},
	{postgres.ColumnDescription, textColumn, func(f storage.File) any { return f.Description }},
	{postgres.ColumnSize, numberColumn, func(f storage.File) any { return f.Size }},
	{postgres.ColumnContentType, textColumn, func(f storage.File) any { return f.ContentType }},
	{postgres.ColumnHash, textColumn, func(f storage.File) any { return f.Hash }},
	{postgres.ColumnCreatedAt, timeColumn, func(f storage.File) any { return f.CreatedAt.UTC() }},
	{postgres.ColumnUpdatedAt, timeColumn, func(f storage.File) any { return f.UpdatedAt.UTC() }},
}}

// column finds a column; the error says it as PostgREST does.
func (t table[R]) column(name string) (int, error) {
	for i, c := range t.columns {
		if string(c.name) == name {
			return i, nil
		}
	}
	return 0, &pgrstStatus{http.StatusBadRequest, "42703", api.Errorf(api.Invalid, "column %s.%s does not exist", t.name, name)}
}

// field is one selected column under its name in the answer.
type field struct {
	column int
	name   string
}

// selection is the fields of an answer in order. Empty means all columns.
type selection []field

// row is a row as it is sent.
func (t table[R]) row(s selection, r R) json.RawMessage {
	b := []byte{'{'}
	for i, field := range s {
		if i > 0 {
			b = append(b, ',')
		}
		name, _ := json.Marshal(field.name)                        // strings and our columns' types
		value, _ := json.Marshal(t.columns[field.column].value(r)) // always marshal
		b = append(append(append(b, name...), ':'), value...)
	}
	return append(b, '}')
}

// tableRequest is a query of a table.
type tableRequest struct {
	query  storage.FileQuery
	fields selection
}

// parse reads the query string of a table: filters are column=op.value,
// everything else has a reserved name (PostgREST's documentation, "Tables and
// Views").
func (t table[R]) parse(rawQuery string) (tableRequest, error) {
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return tableRequest{}, errQuery("the query string is malformed: %w", err)
	}
	var req tableRequest
	if req.fields, err = t.parseSelect(values.Get("select")); err != nil {
		return tableRequest{}, err
	}
	if req.query.Orders, err = t.parseOrder(values.Get("order")); err != nil {
		return tableRequest{}, err
	}
	if req.query.Limit, err = parseCount(values, "limit"); err != nil {
		return tableRequest{}, err
	}
	if req.query.Limit == 0 && values.Get("limit") != "" {
		req.query.Limit = -1 // none are wanted
	}
	if req.query.Offset, err = parseCount(values, "offset"); err != nil {
		return tableRequest{}, err
	}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		switch name {
		case "select", "order", "limit", "offset":
			continue
		}
		for _, value := range values[name] {
			f, err := t.parseFilter(name, value)
			if err != nil {
				return tableRequest{}, err
			}
			req.query.Filters = append(req.query.Filters, f)
		}
	}
	return req, nil
}

func errQuery(format string, args ...any) error {
	return &pgrstStatus{http.StatusBadRequest, "PGRST100", api.Errorf(api.Invalid, format, args...)}
}

// maxFields is the most fields that one row may have.
const maxFields = 100

// parseSelect reads "id,path:file_path,*".
func (t table[R]) parseSelect(s string) (selection, error) {
	if s == "" {
		s = "*"
	}
	var fields selection
	for part := range strings.SplitSeq(s, ",") {
		if len(fields) >= maxFields {
			return nil, errQuery("select has more than %d fields", maxFields)
		}
		part = strings.TrimSpace(part)
		if part == "*" {
			for i, c := range t.columns {
				fields = append(fields, field{i, string(c.name)})
			}
			continue
		}
		name, from, renamed := strings.Cut(part, ":")
		if !renamed {
			from = name
		}
		i, err := t.column(from)
		if err != nil {
			return nil, err
		}
		if name == "" || !utf8.ValidString(name) {
			return nil, errQuery("select has an empty name")
		}
		fields = append(fields, field{i, name})
	}
	return fields, nil
}

// parseOrder reads "file_path.desc.nullslast,size".
func (t table[R]) parseOrder(s string) ([]storage.Order, error) {
	if s == "" {
		return nil, nil
	}
	var orders []storage.Order
	for part := range strings.SplitSeq(s, ",") {
		words := strings.Split(strings.TrimSpace(part), ".")
		i, err := t.column(words[0])
		if err != nil {
			return nil, err
		}
		o := storage.Order{Column: t.columns[i].name}
		rest := words[1:]
		if len(rest) > 0 && (rest[0] == "asc" || rest[0] == "desc") {
			o.Descending = rest[0] == "desc"
			rest = rest[1:]
		}
		o.NullsFirst = o.Descending // PostgreSQL: nulls are the greatest
		if len(rest) > 0 && (rest[0] == "nullsfirst" || rest[0] == "nullslast") {
			o.NullsFirst = rest[0] == "nullsfirst"
			rest = rest[1:]
		}
		if len(rest) > 0 {
			return nil, errQuery("order has an unknown direction %q", rest[0])
		}
		orders = append(orders, o)
	}
	return orders, nil
}

// maxRows is the most rows of one answer, and the most that offset may skip.
const maxRows = 1 << 30

func parseCount(values url.Values, name string) (int, error) {
	s := values.Get(name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > maxRows {
		return 0, errQuery("%s must be a number from 0 on", name)
	}
	return n, nil
}

// operators is what comes before the value, and whether it is for text only.
var operators = map[string]struct {
	op       storage.Comparison
	textOnly bool
}{
	"eq": {op: postgres.Eq}, "neq": {op: postgres.Neq},
	"gt": {op: postgres.Gt}, "gte": {op: postgres.Gte}, "lt": {op: postgres.Lt}, "lte": {op: postgres.Lte},
	"like": {postgres.Like, true}, "ilike": {postgres.ILike, true},
	"in": {op: postgres.In}, "is": {op: postgres.Is},
}

// parseFilter reads one "column=[not.]op.value".
func (t table[R]) parseFilter(name, value string) (storage.Filter, error) {
	i, err := t.column(name)
	if err != nil {
		return storage.Filter{}, err
	}
	f := storage.Filter{Column: t.columns[i].name}
	value, negated := strings.CutPrefix(value, "not.")
	f.Negate = negated
	word, value, found := strings.Cut(value, ".")
	op, known := operators[word]
	if !found || !known {
		return storage.Filter{}, errQuery("the filter on %s must be OPERATOR.VALUE with one of eq neq gt gte lt lte like ilike in is", name)
	}
	if op.textOnly && t.columns[i].typ != textColumn {
		return storage.Filter{}, &pgrstStatus{http.StatusBadRequest, "42883", api.Errorf(api.Invalid, "%s is for text, which %s is not", word, name)}
	}
	f.Op = op.op
	switch f.Op {
	case postgres.Is:
		switch strings.ToLower(value) {
		case "null":
		case "not_null":
			f.Negate = !f.Negate
		default:
			return storage.Filter{}, errQuery("is must be followed by null or not_null")
		}
		f.Values = []string{"null"}
		return f, nil
	case postgres.In:
		if f.Values, err = parseList(value); err != nil {
			return storage.Filter{}, err
		}
	case postgres.Like, postgres.ILike:
		f.Values = []string{strings.ReplaceAll(value, "*", "%")}
	default:
		f.Values = []string{value}
	}
	for j := range f.Values {
		if f.Values[j], err = parseValue(t.columns[i].typ, f.Values[j]); err != nil {
			return storage.Filter{}, err
		}
	}
	return f, nil
}

// maxList is the most values of an in list.
const maxList = 1000

// parseList reads `(a,b,"c,d","say \"e\"")`.
func parseList(s string) ([]string, error) {
	if len(s) < 2 || s[0] != '(' || s[len(s)-1] != ')' {
		return nil, errQuery("in must be followed by a list: (a,b)")
	}
	s = s[1 : len(s)-1]
	values := []string{}
	for s != "" {
		var value string
		if s[0] == '"' {
			var b strings.Builder
			i := 1
			for ; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' && i+1 < len(s) {
					i++
				}
				b.WriteByte(s[i])
			}
			if i >= len(s) {
				return nil, errQuery("a quoted value of the list has no end")
			}
			value, s = b.String(), s[i+1:]
			if s != "" && s[0] != ',' {
				return nil, errQuery("a quoted value of the list goes on after its end")
			}
		} else {
			end := strings.IndexByte(s, ',')
			if end < 0 {
				end = len(s)
			}
			value, s = s[:end], s[end:]
		}
		if values = append(values, value); len(values) > maxList {
			return nil, errQuery("the list has more than %d values", maxList)
		}
		if s == "," {
			values = append(values, "")
		}
		s = strings.TrimPrefix(s, ",")
	}
	return values, nil
}

// timeLayouts are the ways to write a time that PostgreSQL's users know.
var timeLayouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999", time.DateOnly}

// parseValue checks a value for a column and brings it into its canonical form. Blanks around numbers and times are nothing, as to PostgreSQL.
func parseValue(typ columnType, s string) (string, error) {
	bad := func(typ string) (string, error) {
		return "", &pgrstStatus{http.StatusBadRequest, "22P02", api.Errorf(api.Invalid, "invalid input syntax for type %s: %.100q", typ, s)}
	}
	switch typ {
	case uuidColumn:
		id, err := api.ParseID(s)
		if err != nil {
			return bad("uuid")
		}
		return id.String(), nil
	case numberColumn:
		n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
		if err != nil {
			return bad("bigint")
		}
		return strconv.FormatInt(n, 10), nil
	case timeColumn:
		for _, layout := range timeLayouts {
			if t, err := time.Parse(layout, strings.TrimSpace(s)); err == nil {
				return t.UTC().Format(time.RFC3339Nano), nil
			}
		}
		return bad("timestamp with time zone")
	}
	if strings.ContainsRune(s, 0) || !utf8.ValidString(s) {
		return bad("text")
	}
	return s, nil
}
