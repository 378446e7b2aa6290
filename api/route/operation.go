package route

// Operation is one method of one path.
type Operation struct {
	ID      string // unique in the document: delete-files
	Method  string
	Path    string // as net/http's ServeMux has it: /files, /api/buckets/{name}, /api/vfs/get/{path...}
	Summary string // one line
	Doc     string // more, in Markdown's paragraphs
	Access  Access
	Params  []Param
	Body    *Body
	Answers []Answer // beside those of every operation: 401, 403 and 429 where they can be

	Examples []Example
}

// Access says who may call an operation.
type Access int

const (
	Anyone Access = iota // no identity is asked for; a wrong one is refused all the same
	Known                // by token or cookie
	Basic                // by an app password (HTTP Basic), or a token
	Signed               // by an access key (AWS Signature Version 4)
)

// Places of parameters.
const (
	Query  = "query"
	Header = "header"
	Path   = "path"
)

// Param is a parameter outside the body.
type Param struct {
	Name     string
	In       string // Query, Header or Path
	Doc      string
	Type     string // string (also when empty), integer, boolean or uuid
	Required bool   // of a Path parameter always
}

// Body is what a request carries.
type Body struct {
	Type     string  // its media type
	Fields   []Field // of an object (JSON or a form); none: any bytes, or any JSON
	Optional bool
	Doc      string
}

// Field is a member of an object.
type Field struct {
	Name     string
	Doc      string
	Type     string // string (also when empty), integer, boolean, uuid, object, array or file
	Required bool
}

// JSON is a body that is an object of fields.
func JSON(fields ...Field) *Body { return &Body{Type: "application/json", Fields: fields} }

// Bytes is a body of any bytes, which is read as it comes.
func Bytes(doc string) *Body { return &Body{Type: "application/octet-stream", Doc: doc} }

// Answer is what may come back.
type Answer struct {
	Status int
	Type   string // media type; empty: application/json, or no body for 204 and redirects
	Doc    string
}

// Who sends an example; an empty As is nobody.
const (
	You    = "you"
	Friend = "friend"
	Admin  = "admin"
)

// Example is a request that a test sends, and what must come back. In Path,
// Header and Body "$name" stands for what an earlier one kept.
type Example struct {
	Summary  string            `json:"summary"`
	As       string            `json:"as,omitempty"`   // You, Friend, Admin or nobody
	Path     string            `json:"path,omitempty"` // with its query; empty: the operation's
	Header   map[string]string `json:"header,omitempty"`
	Body     string            `json:"body,omitempty"`
	Status   int               `json:"status"`
	Contains string            `json:"contains,omitempty"` // a part of the answer's body
	Keep     map[string]string `json:"keep,omitempty"`     // name → where in the JSON answer: "", "id", "0.id"
}
