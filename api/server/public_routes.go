package server

import (
	"net/http"

	"satchel/api/route"
)

// publicRoutes adds the functions for files that others may read, too.
func (s *server) publicRoutes(f *route.Family) {
	const names = "A path is in your own drive. Another one's begins with the owner's id ({uuid}/path), and strangers always say whose they mean."
	where := []route.Param{
		{Name: "p_bucket_path", In: route.Query, Doc: "The directory"},
		{Name: "p_file_name", In: route.Query, Required: true, Doc: "The last name"},
	}
	missing := route.Answer{Status: 404, Doc: "It is not there, or hidden: PT404"}
	inBody := func(more route.Field) *route.Body {
		return route.JSON(route.Field{Name: "p_bucket_path", Doc: "The directory"}, route.Field{Name: "p_file_name", Doc: "The last name"}, more)
	}
	f.Handle(route.Operation{
		ID: "rpc-set-public", Method: http.MethodPost, Path: "/rpc/set_public", Access: route.Known, Summary: "Let everybody read a file or a folder and what is in it, or no longer",
		Doc:     "Without p_file_name it is the directory itself. What is in a public folder stays public with it.",
		Body:    inBody(route.Field{Name: "p_public", Type: "boolean", Required: true}),
		Answers: []route.Answer{{Status: 200, Doc: `[{"is_public"}]: what it is now`}, missing},
		Examples: []route.Example{
			{Summary: "A file", As: route.You, Header: asJSON, Body: `{"p_bucket_path":"notes","p_file_name":"today.txt","p_public":true}`, Status: 200, Contains: `[{"is_public":true}]`},
			{Summary: "Somebody else's", As: route.Friend, Header: asJSON, Body: `{"p_bucket_path":"$you/notes","p_file_name":"today.txt","p_public":false}`, Status: 403},
		},
	}, s.rpcSetPublic)
	// posted adds a function also with its arguments in the body.
	posted := func(op route.Operation, h http.HandlerFunc, example route.Example) {
		f.Handle(op, h)
		op.ID, op.Method, op.Params, op.Examples = op.ID+"-post", http.MethodPost, nil, []route.Example{example}
		op.Body = route.JSON(route.Field{Name: "p_bucket_path", Doc: "The directory"}, route.Field{Name: "p_file_name", Doc: "The last name"})
		f.Handle(op, h)
	}
	posted(route.Operation{
		ID: "rpc-is-public", Method: http.MethodGet, Path: "/rpc/is_public", Summary: "Whether everybody may read a file or a folder",
		Params: where, Answers: []route.Answer{{Status: 200, Doc: `[{"is_public"}]`}, missing},
		Examples: []route.Example{{Summary: "A folder", As: route.You, Path: "/rpc/is_public?p_bucket_path=notes", Status: 200, Contains: `[{"is_public":false}]`}},
	}, s.rpcIsPublic, route.Example{Summary: "With the names in the body", As: route.You, Header: asJSON, Body: `{"p_bucket_path":"notes","p_file_name":"today.txt"}`, Status: 200, Contains: `[{"is_public":true}]`})
	posted(route.Operation{
		ID: "rpc-get-file", Method: http.MethodGet, Path: "/rpc/get_file", Summary: "A file for a browser; Range and conditions work",
		Doc:     names + "\n\nImages, PDF, plain text, audio and video are shown, all else is saved. Public files may be cached for three days.",
		Params:  where,
		Answers: []route.Answer{{Status: 200, Type: "application/octet-stream", Doc: "The content, under its own media type"}, {Status: 206, Type: "application/octet-stream", Doc: "The range"}, missing, {Status: 416, Doc: "There is no such range"}},
		Examples: []route.Example{
			{Summary: "One of your own", As: route.You, Path: "/rpc/get_file?p_bucket_path=notes&p_file_name=today.txt", Status: 200, Contains: "Buy bread."},
			{Summary: "A public one, as a stranger", Path: "/rpc/get_file?p_bucket_path=$you/notes&p_file_name=today.txt", Status: 200, Contains: "Buy bread."},
			{Summary: "One that is not there", Path: "/rpc/get_file?p_bucket_path=$you/notes&p_file_name=none", Status: 404, Contains: `"code":"PT404"`},
		},
	}, s.rpcGetFile, route.Example{Summary: "With the names in the body", Header: asJSON, Body: `{"p_bucket_path":"$you/notes","p_file_name":"today.txt"}`, Status: 200, Contains: "Buy bread."})
	f.Handle(route.Operation{
		ID: "rpc-set-metadata", Method: http.MethodPost, Path: "/rpc/set_metadata", Access: route.Known, Summary: "Say something about a file: a JSON object of your own",
		Body:    inBody(route.Field{Name: "p_metadata", Type: "object", Required: true, Doc: "At most 64 KiB"}),
		Answers: []route.Answer{{Status: 204, Doc: "It is kept with the document"}, {Status: 400, Doc: "It is no JSON object"}, missing},
		Examples: []route.Example{{
			Summary: "Two words", As: route.You, Header: asJSON,
			Body: `{"p_bucket_path":"notes","p_file_name":"today.txt","p_metadata":{"colour":"blue","stars":3}}`, Status: 204,
		}},
	}, s.rpcSetMetadata)
	posted(route.Operation{
		ID: "rpc-get-metadata", Method: http.MethodGet, Path: "/rpc/get_metadata", Summary: "What is known about a file; the hash is its SHA-256",
		Doc: names, Params: where,
		Answers: []route.Answer{{Status: 200, Doc: `[{"id","bucket_path","file_name","size","content_type","hash","created_at","metadata"}]`}, missing},
		Examples: []route.Example{
			{Summary: "One of your own", As: route.You, Path: "/rpc/get_metadata?p_bucket_path=notes&p_file_name=today.txt", Status: 200, Contains: `"stars":3`},
			{Summary: "A public one, as a stranger", Path: "/rpc/get_metadata?p_bucket_path=$you/notes&p_file_name=today.txt", Status: 200, Contains: `"size":11`},
		},
	}, s.rpcGetMetadata, route.Example{Summary: "With the names in the body", Header: asJSON, Body: `{"p_bucket_path":"$you/notes","p_file_name":"today.txt"}`, Status: 200, Contains: `"size":11`})
}
