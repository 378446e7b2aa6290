package postgres

import (
	"time"

	"satchel/api"
)

// File is one path of a drive that leads to a regular file, as the APIs list
// it. A document with two hard links is listed twice.
type File struct {
	ID          api.ID // the document
	UserID      api.ID // the drive's owner
	FilePath    string // names joined by slashes, escaped ([api.Name.Escape]), so that it is text
	Description string
	Size        int64 // bytes
	ContentType string
	Hash        api.Hash
	CreatedAt   time.Time // the document's birth
	UpdatedAt   time.Time // when its content last changed
}

// Column names a column of [File] as the APIs spell it.
type Column string

const (
	ColumnID          Column = "id"
	ColumnUserID      Column = "user_id"
	ColumnFilePath    Column = "file_path"
	ColumnDescription Column = "description"
	ColumnSize        Column = "size"
	ColumnContentType Column = "content_type"
	ColumnHash        Column = "hash"
	ColumnCreatedAt   Column = "created_at"
	ColumnUpdatedAt   Column = "updated_at"
)

// Comparison is a filter's operator.
type Comparison string

const (
	Eq    Comparison = "eq"
	Neq   Comparison = "neq"
	Gt    Comparison = "gt"
	Gte   Comparison = "gte"
	Lt    Comparison = "lt"
	Lte   Comparison = "lte"
	Like  Comparison = "like"  // SQL's pattern: % and _
	ILike Comparison = "ilike" // the same, case-blind
	In    Comparison = "in"
	Is    Comparison = "is" // the one value is "null"
)

// Filter keeps the files whose Column compares so with Values (one value; of
// [In] any number), or those whose column does not when Negate is set. Values
// are text as in a URL: a size in decimal, times in RFC 3339, ids and hashes in
// their canonical form.
type Filter struct {
	Column Column
	Op     Comparison
	Negate bool
	Values []string
}

// Order sorts by a column.
type Order struct {
	Column     Column
	Descending bool
	NullsFirst bool
}

// FileQuery asks for files. Filters must all hold. Equal rows come in the
// order of their paths. Limit 0 means all, a negative one none.
type FileQuery struct {
	Filters []Filter
	Orders  []Order
	Limit   int
	Offset  int
}
