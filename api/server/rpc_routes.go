package server

import (
	"net/http"

	"satchel/api/route"
)

// routeRPC adds the PostgREST-like API.
func (s *server) routeRPC(mux *http.ServeMux, doc *route.Document) {
	f := doc.Family("rpc", "Functions, as PostgREST has them: arguments in the query, or as a JSON object", "/rpc/", s.pgrstError)
	s.sessionRoutes(f)
	s.storeRoutes(f)
	s.publicRoutes(f)
	f.Mount(mux)
	files := doc.Family("files", "Rows, as PostgREST has them: select, order, limit, offset, Range, and column=operator.value", "/files", s.pgrstError)
	s.fileRoutes(files)
	files.Mount(mux)
	users := doc.Family("users", "People, as rows", "/users", s.pgrstError)
	s.userRoutes(users)
	users.Mount(mux)
}

func (s *server) storeRoutes(f *route.Family) {
	f.Handle(route.Operation{
		ID: "rpc-store-file", Method: http.MethodPost, Path: "/rpc/store_file", Access: route.Known, Summary: "Store a file",
		Doc: "The directories of the path are made. A file that is there gets a new version and keeps its id. Other text than ASCII in headers is percent-encoded UTF-8.",
		Params: []route.Param{
			{Name: "File-Path", In: route.Header, Required: true, Doc: "Its path in your drive"},
			{Name: "Description", In: route.Header, Doc: "What it is, for people, in at most 4 KiB"},
		},
		Body: route.Bytes("The content, of any size"),
		Answers: []route.Answer{{Status: 200, Doc: "The document's id, a JSON string"}, {Status: 400, Doc: "The path is missing or wrong"}, {Status: 403, Doc: "An admin has no drive"},
			{Status: 412, Doc: "If-Match, If-None-Match or If-Unmodified-Since does not hold"}, {Status: 413, Doc: "The description is too long"}, {Status: 507, Doc: "The quota is used up"}},
		Examples: []route.Example{{
			Summary: "A new file", As: route.You, Body: "Water the plants.\n", Status: 200, Keep: map[string]string{"document": ""},
			Header: map[string]string{"Content-Type": "application/octet-stream", "File-Path": "notes/plants.txt", "Description": "For the weekend"},
		}, {
			Summary: "Without a path", As: route.You, Body: "x", Header: map[string]string{"Content-Type": "application/octet-stream"},
			Status: 400, Contains: "Mandatory 'File-Path' header is missing.",
		}},
	}, s.rpcStoreFile)
	retrieve := route.Operation{
		ID: "rpc-retrieve-file", Method: http.MethodGet, Path: "/rpc/retrieve_file", Access: route.Known, Summary: "A file's bytes; Range and conditions work",
		Params:  []route.Param{{Name: "p_file_path", In: route.Query, Required: true, Doc: "Its path in your drive"}},
		Answers: []route.Answer{{Status: 200, Type: "application/octet-stream", Doc: "The content"}, {Status: 206, Type: "application/octet-stream", Doc: "The range"}, {Status: 400, Doc: "File not found."}},
		Examples: []route.Example{
			{Summary: "By its path", As: route.You, Path: "/rpc/retrieve_file?p_file_path=notes/today.txt", Status: 200, Contains: "Buy bread."},
			{Summary: "The first three bytes", As: route.You, Path: "/rpc/retrieve_file?p_file_path=notes/today.txt", Header: map[string]string{"Range": "bytes=0-2"}, Status: 206, Contains: "Buy"},
			{Summary: "One that is not there", As: route.You, Path: "/rpc/retrieve_file?p_file_path=nothing", Status: 400, Contains: "File not found."},
		},
	}
	f.Handle(retrieve, s.rpcRetrieveFile)
	retrieve.ID, retrieve.Method, retrieve.Params = "rpc-retrieve-file-post", http.MethodPost, nil
	retrieve.Body = route.JSON(route.Field{Name: "p_file_path", Required: true, Doc: "Its path in your drive"})
	retrieve.Examples = []route.Example{{
		Summary: "With the path in the body", As: route.You, Header: map[string]string{"Content-Type": "application/json"},
		Body: `{"p_file_path":"notes/today.txt"}`, Status: 200, Contains: "Buy bread.",
	}}
	f.Handle(retrieve, s.rpcRetrieveFile)
}

func (s *server) fileRoutes(f *route.Family) {
	filters := []route.Param{
		{Name: "id", In: route.Query, Doc: "OPERATOR.VALUE with one of eq neq gt gte lt lte like ilike in is, such as eq.UUID; each column can be filtered by"},
		{Name: "file_path", In: route.Query, Doc: "such as like.notes/*"},
		{Name: "description", In: route.Query}, {Name: "content_type", In: route.Query}, {Name: "hash", In: route.Query},
		{Name: "size", In: route.Query}, {Name: "created_at", In: route.Query}, {Name: "updated_at", In: route.Query}, {Name: "user_id", In: route.Query},
		{Name: "select", In: route.Query, Doc: "Columns, such as id,path:file_path"},
	}
	order := append(filters[:len(filters):len(filters)],
		route.Param{Name: "order", In: route.Query, Doc: "Such as size.desc,file_path"},
		route.Param{Name: "limit", In: route.Query, Type: "integer"}, route.Param{Name: "offset", In: route.Query, Type: "integer"},
		route.Param{Name: "Range", In: route.Header, Doc: "Rows, such as 0-9"},
		route.Param{Name: "Prefer", In: route.Header, Doc: "count=exact tells how many there are in all"})
	many := []route.Answer{{Status: 413, Doc: "The filters choose more than 20,000 files, or the description has more than 4 KiB: nothing is changed"},
		{Status: 429, Doc: "More than ten a second by other filters than id=eq, id=in or one file_path=eq"}}
	f.Handle(route.Operation{
		ID: "get-files", Method: http.MethodGet, Path: "/files", Access: route.Known, Summary: "Your files; an admin sees everyone's, without content",
		Params:  order,
		Answers: []route.Answer{{Status: 200, Doc: "The rows"}, {Status: 206, Doc: "Some of the rows"}, {Status: 400, Doc: "The query is wrong"}, {Status: 416, Doc: "There are not so many rows"}, {Status: 429, Doc: "More than ten a second"}},
		Examples: []route.Example{
			{Summary: "All", As: route.You, Status: 200, Contains: "notes/today.txt"},
			{Summary: "The largest of a folder", As: route.You, Path: "/files?select=id,file_path,size&file_path=like.notes/*&order=size.desc&limit=1", Status: 200, Contains: `"size"`},
		},
	}, s.getFiles)
	f.Handle(route.Operation{
		ID: "patch-files", Method: http.MethodPatch, Path: "/files", Access: route.Known, Summary: "Rename or describe the files that the filters choose",
		Params:  append(filters[:len(filters):len(filters)], route.Param{Name: "Prefer", In: route.Header, Doc: "return=representation answers with the rows"}),
		Body:    route.JSON(route.Field{Name: "file_path", Doc: "Another path"}, route.Field{Name: "description", Doc: "At most 4 KiB"}),
		Answers: append([]route.Answer{{Status: 204, Doc: "It is done, or there was nothing to do"}, {Status: 400, Doc: "There is no filter, or the body is wrong"}, {Status: 403, Doc: "Another column"}, {Status: 409, Doc: "The path is taken"}}, many...),
		Examples: []route.Example{{
			Summary: "Rename", As: route.You, Path: "/files?id=eq.$document", Header: map[string]string{"Content-Type": "application/json"},
			Body: `{"file_path":"notes/garden.txt"}`, Status: 204,
		}},
	}, s.patchFiles)
	f.Handle(route.Operation{
		ID: "delete-files", Method: http.MethodDelete, Path: "/files", Access: route.Known, Summary: "Delete the files that the filters choose; the trash keeps them",
		Params:  append(filters[:len(filters):len(filters)], route.Param{Name: "Prefer", In: route.Header, Doc: "return=representation answers with the rows"}),
		Answers: append([]route.Answer{{Status: 204, Doc: "They are gone, or there were none"}, {Status: 400, Doc: "There is no filter: nothing is deleted"}}, many...),
		Examples: []route.Example{
			{Summary: "By its id", As: route.You, Path: "/files?id=eq.$document", Status: 204},
			{Summary: "Without a filter", As: route.You, Status: 400, Contains: "filter"},
		},
	}, s.deleteFiles)
}
