package server

import (
	"net/http"

	"satchel/api/route"
)

// vfsDoc is what the description says of a path under /api/vfs.
const vfsDoc = "A mount is home (your own drive), user:ID or a bare ID (that user's, as far as he shares it), or a system drive's name."

// routeVFS adds the virtual file system with its ACLs.
func (s *server) routeVFS(mux *http.ServeMux, doc *route.Document) {
	f := doc.Family("vfs", "Files of all drives that you may use, by mount and path. "+vfsDoc, "/api/vfs/", s.apiError)
	s.vfsReadRoutes(f)
	s.vfsWriteRoutes(f)
	s.vfsShareRoutes(f)
	f.Mount(mux)
}

// vfsAction adds an action on a path, and on the mount's root if that makes sense.
func (s *server) vfsAction(f *route.Family, op route.Operation, root bool, do http.HandlerFunc) {
	name := op.ID
	params := op.Params
	op.ID, op.Path = "vfs-"+name, "/api/vfs/"+name+"/{mount}/{path...}"
	op.Params = append([]route.Param{{Name: "mount", In: route.Path, Doc: vfsDoc}, {Name: "path", In: route.Path, Doc: "Names joined by slashes"}}, params...)
	f.Handle(op, do)
	if root {
		op.ID, op.Path = "vfs-"+name+"-root", "/api/vfs/"+name+"/{mount}"
		op.Params = append([]route.Param{{Name: "mount", In: route.Path, Doc: vfsDoc}}, params...)
		op.Summary += " (the mount's root)"
		op.Examples = vfsRootExamples[name]
		f.Handle(op, do)
	}
}

// vfsRootExamples are of actions on a mount's root.
var vfsRootExamples = map[string][]route.Example{
	"ls":       {{Summary: "Your drive", As: route.You, Path: "/api/vfs/ls/home", Status: 200, Contains: `"notes"`}},
	"search":   {{Summary: "By name", As: route.You, Path: "/api/vfs/search/home?name=today", Status: 200, Contains: "today.txt"}},
	"compress": {{Summary: "By nobody", Path: "/api/vfs/compress/user:$you", Status: 401}},
	"upload":   {{Summary: "What is no form", As: route.You, Path: "/api/vfs/upload/home", Body: "no form", Status: 400}},
}

var jsonHeader = map[string]string{"Content-Type": "application/json"}

func (s *server) vfsReadRoutes(f *route.Family) {
	f.Handle(route.Operation{
		ID: "vfs-mounts", Method: http.MethodGet, Path: "/api/vfs/mounts", Summary: "The mounts that you may open",
		Examples: []route.Example{{Summary: "Yours", As: route.You, Status: 200, Contains: `"home"`}},
	}, s.vfsMounts)
	s.vfsAction(f, route.Operation{
		ID: "ls", Method: http.MethodGet, Summary: "List a directory",
		Params: []route.Param{
			{Name: "glob", In: route.Query, Doc: "Only names that fit, such as *.md"},
			{Name: "includeSize", In: route.Query, Type: "boolean", Doc: "The size of directories, with all below them"},
			{Name: "gitignore", In: route.Query, Type: "boolean", Doc: "Leave out what .gitignore files exclude; true for local mounts unless said otherwise"},
		},
		Answers: []route.Answer{{Status: 200, Doc: "Its entries"}, {Status: 404, Doc: "There is no such directory, or it is hidden"}},
		Examples: []route.Example{
			{Summary: "Notes, with sizes", As: route.You, Path: "/api/vfs/ls/home/notes?includeSize=true", Status: 200, Contains: "today.txt"},
			{Summary: "Nobody's", Path: "/api/vfs/ls/user:$you/notes", Status: 401},
		},
	}, true, s.vfs(s.vfsList))
	s.vfsAction(f, route.Operation{
		ID: "read", Method: http.MethodGet, Summary: "A text file's text",
		Answers:  []route.Answer{{Status: 200, Type: "text/plain", Doc: "The text"}, {Status: 400, Doc: "It is no text"}, {Status: 413, Doc: "It is larger than 16 MiB"}},
		Examples: []route.Example{{Summary: "A note", As: route.You, Path: "/api/vfs/read/home/notes/today.txt", Status: 200, Contains: "Buy bread."}},
	}, false, s.vfs(s.vfsRead))
	s.vfsAction(f, route.Operation{
		ID: "get", Method: http.MethodGet, Summary: "A file's bytes; Range and conditions work",
		Answers: []route.Answer{{Status: 200, Type: "application/octet-stream", Doc: "The content"}, {Status: 206, Type: "application/octet-stream", Doc: "The range"}, {Status: 416, Doc: "There is no such range"}},
		Examples: []route.Example{{Summary: "Three bytes", As: route.You, Path: "/api/vfs/get/home/notes/today.txt",
			Header: map[string]string{"Range": "bytes=0-2"}, Status: 206, Contains: "Buy"}},
	}, false, s.vfs(s.vfsGet))
	s.vfsAction(f, route.Operation{
		ID: "search", Method: http.MethodGet, Summary: "Find files by their names and the words in them",
		Params: []route.Param{
			{Name: "q", In: route.Query, Doc: "Words, as web searches have them; also parts of names, unless name is given"},
			{Name: "name", In: route.Query, Doc: "A part of a name"}, {Name: "limit", In: route.Query, Type: "integer", Doc: "100 unless said otherwise, at most 1000"},
		},
		Answers:  []route.Answer{{Status: 200, Doc: "What was found, the best first"}},
		Examples: []route.Example{{Summary: "By a part of a name", As: route.You, Path: "/api/vfs/search/home/?q=today", Status: 200, Contains: "today.txt"}},
	}, true, s.vfs(s.vfsSearch))
	s.vfsAction(f, route.Operation{
		ID: "compress", Method: http.MethodGet, Summary: "A directory as a ZIP archive, 3 a minute", Access: route.Known,
		Answers:  []route.Answer{{Status: 200, Type: "application/zip", Doc: "The archive, as it is made"}},
		Examples: []route.Example{{Summary: "The notes", As: route.You, Path: "/api/vfs/compress/home/notes", Status: 200, Contains: "PK"}},
	}, true, s.vfs(s.vfsCompress))
}

func (s *server) vfsWriteRoutes(f *route.Family) {
	to := route.JSON(
		route.Field{Name: "name", Doc: "A new name in the same directory"},
		route.Field{Name: "to", Doc: "Or a path"},
		route.Field{Name: "mount", Doc: "In which mount, if in another"},
		route.Field{Name: "overwrite", Type: "boolean", Doc: "Replace what is there"},
	)
	s.vfsAction(f, route.Operation{
		ID: "write", Method: http.MethodPut, Summary: "Make the body a file's content",
		Doc:      "Missing directories are made. Control characters are left out of names; the answer has the path that was used.",
		Body:     route.Bytes("The content, of any size: all of it"),
		Answers:  []route.Answer{{Status: 200, Doc: "It is stored"}, {Status: 400, Doc: "It is a part only (Content-Range)"}, {Status: 412, Doc: "If-Match, If-None-Match or If-Unmodified-Since does not hold"}, {Status: 507, Doc: "The quota has no room for it"}},
		Examples: []route.Example{{Summary: "A list", As: route.You, Path: "/api/vfs/write/home/lists/shop.md", Body: "# Shop\n\n- milk\n", Status: 200, Contains: `"/lists/shop.md"`}},
	}, false, s.vfs(s.vfsWrite))
	s.vfsAction(f, route.Operation{
		ID: "upload", Method: http.MethodPost, Summary: "Store the files of a form in a directory",
		Body: &route.Body{Type: "multipart/form-data", Fields: []route.Field{{Name: "file", Type: "file", Required: true, Doc: "Any number of them"}}},
		Examples: []route.Example{{Summary: "One file", As: route.You, Path: "/api/vfs/upload/home/lists", Status: 200, Contains: `"/lists/books.txt"`,
			Header: map[string]string{"Content-Type": "multipart/form-data; boundary=x"},
			Body:   "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"books.txt\"\r\n\r\nMoby-Dick\r\n--x--\r\n"}},
	}, true, s.vfs(s.vfsUpload))
	s.vfsAction(f, route.Operation{
		ID: "mkdir", Method: http.MethodPost, Summary: "Make a directory, and those above it",
		Answers:  []route.Answer{{Status: 201, Doc: "It is there"}, {Status: 409, Doc: "The path is taken"}},
		Examples: []route.Example{{Summary: "One in another", As: route.You, Path: "/api/vfs/mkdir/home/lists/old", Status: 201, Contains: `"/lists/old"`}},
	}, false, s.vfs(s.vfsMkdir))
	s.vfsAction(f, route.Operation{
		ID: "rename", Method: http.MethodPost, Summary: "Give something another name or path", Body: to,
		Doc:     "A symlink at the new path is replaced itself.",
		Answers: []route.Answer{{Status: 200, Doc: "It has it"}, {Status: 409, Doc: "The path is taken"}},
		Examples: []route.Example{{Summary: "Another name", As: route.You, Path: "/api/vfs/rename/home/lists/books.txt", Header: jsonHeader,
			Body: `{"name":"read.txt"}`, Status: 200, Contains: `"/lists/read.txt"`}},
	}, false, s.vfsEntry(s.vfsRename))
	s.vfsAction(f, route.Operation{
		ID: "copy", Method: http.MethodPost, Summary: "Copy something", Body: to,
		Doc:     "Within a drive no bytes are copied. A symlink at the new path is replaced itself.",
		Answers: []route.Answer{{Status: 200, Doc: "The copy is there"}, {Status: 409, Doc: "The path is taken"}},
		Examples: []route.Example{{Summary: "A directory", As: route.You, Path: "/api/vfs/copy/home/lists", Header: jsonHeader,
			Body: `{"to":"/lists-copy"}`, Status: 200, Contains: `"/lists-copy"`}},
	}, false, s.vfs(s.vfsCopy))
	s.vfsAction(f, route.Operation{
		ID: "delete", Method: http.MethodDelete, Summary: "Remove something, with all below it",
		Answers:  []route.Answer{{Status: 200, Doc: "It is in the trash"}, {Status: 404, Doc: "There is nothing, or it is hidden"}},
		Examples: []route.Example{{Summary: "A directory", As: route.You, Path: "/api/vfs/delete/home/lists-copy", Status: 200, Contains: `"/lists-copy"`}},
	}, false, s.vfsEntry(s.vfsDelete))
}

func (s *server) vfsShareRoutes(f *route.Family) {
	acl := func(id, method, path, summary string, body *route.Body, example route.Example, do vfsHandler) {
		example.As = route.You
		f.Handle(route.Operation{
			ID: id, Method: method, Path: path, Summary: summary, Access: route.Known, Body: body,
			Params:   []route.Param{{Name: "mount", In: route.Path, Doc: vfsDoc}},
			Answers:  []route.Answer{{Status: 200, Doc: "The drive's {owner, groups, acl}"}},
			Examples: []route.Example{example},
		}, s.vfs(do))
	}
	entry := route.JSON(
		route.Field{Name: "path", Required: true, Doc: "It and all below it"},
		route.Field{Name: "permissions", Type: "array", Doc: "Of read, list, write, mkdir, delete, rename and copy; revoking without any takes all"},
		route.Field{Name: "userId", Required: true, Doc: "A user's id, authenticated or anonymous"},
	)
	acl("vfs-acl-grant", http.MethodPost, "/api/vfs/acl/grant/{mount}", "Grant access", entry, route.Example{Summary: "To a friend", Path: "/api/vfs/acl/grant/home",
		Header: jsonHeader, Body: `{"path":"/lists","permissions":["read","list"],"userId":"$friend"}`, Status: 200, Contains: `"path":"/lists"`}, s.vfsChangeACL(false))
	acl("vfs-acl", http.MethodGet, "/api/vfs/acl/{mount}", "Who has what", nil, route.Example{Summary: "In your drive", Path: "/api/vfs/acl/home", Status: 200, Contains: `"groups":[]`}, s.vfsGetACL)
	acl("vfs-acl-import", http.MethodPost, "/api/vfs/acl/import/{mount}", "Add the grants of a vfs-settings.json", route.JSON(
		route.Field{Name: "groups", Type: "array", Doc: "{name, members}, for entries with group in place of userId"}, route.Field{Name: "acl", Type: "array", Required: true}),
		route.Example{Summary: "With a group", Path: "/api/vfs/acl/import/home", Header: jsonHeader, Status: 200, Contains: `"list"`,
			Body: `{"owner":"$you","groups":[{"name":"friends","members":["$friend"]}],"acl":[{"group":"friends","path":"/lists","permissions":["list"]}]}`}, s.vfsImportACL)
	f.Handle(route.Operation{
		ID: "vfs-bind", Method: http.MethodPost, Path: "/api/vfs/binds", Summary: "Show a directory in another place", Access: route.Known,
		Doc:     "acl source: whoever may see the source sees it there. acl inherit, for the source's owner: whoever holds something at the target holds it there.",
		Body:    route.JSON(route.Field{Name: "source", Type: "object", Required: true, Doc: "{mount, path}"}, route.Field{Name: "target", Type: "object", Required: true, Doc: "{mount, path}: a new or an empty directory"}, route.Field{Name: "acl", Doc: "source or inherit"}),
		Answers: []route.Answer{{Status: 201, Doc: "The bind"}, {Status: 400, Doc: "It would lead back to itself"}, {Status: 409, Doc: "The target is taken"}},
		Examples: []route.Example{{Summary: "What you share, in a friend's drive", As: route.Friend, Header: jsonHeader, Status: 201, Keep: map[string]string{"bind": "id"},
			Body: `{"source":{"mount":"user:$you","path":"/lists"},"target":{"mount":"home","path":"/from you"},"acl":"source"}`}},
	}, s.vfsAddBind)
	f.Handle(route.Operation{
		ID: "vfs-binds", Method: http.MethodGet, Path: "/api/vfs/binds", Summary: "Your binds, and those to what is yours", Access: route.Known,
		Examples: []route.Example{{Summary: "A friend's", As: route.Friend, Status: 200, Contains: `"/from you"`}},
	}, s.vfsBinds)
	f.Handle(route.Operation{
		ID: "vfs-unbind", Method: http.MethodDelete, Path: "/api/vfs/binds/{id}", Summary: "End a bind", Access: route.Known,
		Params:   []route.Param{{Name: "id", In: route.Path, Type: "uuid"}},
		Examples: []route.Example{{Summary: "That one", As: route.Friend, Path: "/api/vfs/binds/$bind", Status: 200}},
	}, s.vfsRemoveBind)
	acl("vfs-acl-revoke", http.MethodPost, "/api/vfs/acl/revoke/{mount}", "Revoke access", entry, route.Example{Summary: "A friend's", Path: "/api/vfs/acl/revoke/home",
		Header: jsonHeader, Body: `{"path":"/lists","userId":"$friend"}`, Status: 200, Contains: `"acl":[`}, s.vfsChangeACL(true))
	f.Handle(route.Operation{
		ID: "vfs-index", Method: http.MethodPost, Path: "/api/vfs/admin/index", Summary: "Build the search index again (an admin)", Access: route.Known,
		Answers:  []route.Answer{{Status: 202, Doc: "It is being built"}},
		Examples: []route.Example{{Summary: "By an admin", As: route.Admin, Status: 202}, {Summary: "Not by you", As: route.You, Status: 403}},
	}, s.vfsIndex)
	f.Handle(route.Operation{
		ID: "vfs-import", Method: http.MethodPost, Path: "/api/vfs/admin/import/{mount}", Summary: "Import a local mount's directory again (an admin)", Access: route.Known,
		Params:   []route.Param{{Name: "mount", In: route.Path, Doc: "A system drive's name"}},
		Examples: []route.Example{{Summary: "Not by you", As: route.You, Path: "/api/vfs/admin/import/team", Status: 403}},
	}, s.vfsImport)
}
