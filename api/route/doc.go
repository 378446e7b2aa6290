// Package route says what the server serves, once: the handlers of a path, its
// description in OpenAPI 3.1, and examples that a test runs.
//
// A family of paths that belong together (and share a shape of errors) adds
// itself to the server's [Document]:
//
//	files := doc.Family("files", "Rows of files, as PostgREST has them", "/files", s.pgrstError)
//	files.Handle(route.Operation{
//		ID: "delete-files", Method: "DELETE", Path: "/files", Access: route.Known,
//		Summary: "Delete the files that the filters choose",
//		Params:  []route.Param{{Name: "id", In: route.Query, Doc: "eq.UUID"}},
//		Answers: []route.Answer{{Status: 204, Doc: "They are gone"}, {Status: 400, Doc: "There is no filter"}},
//		Examples: []route.Example{{
//			Summary: "By its id", As: route.You, Path: "/files?id=eq.$spare", Status: 204,
//		}},
//	}, s.deleteFiles)
//	files.Mount(mux)
//
// Mount answers HEAD where there is GET, and other methods with 405, in the
// family's shape. Operations that another library serves (huma serves /v1) are
// added to the description alone, by [Document.OpenAPI].
//
// # Examples
//
// A test sends every example of a running server's /openapi.json to that
// server, in the order in which they were added, and compares the status and a
// part of the body. They are what the page /openapi shows, as curl commands, and what the
// attack suite varies; so each operation should have at least one that succeeds.
//
// Three accounts exist: [You] and [Friend], who are editors, and [Admin]. Your
// drive has the file notes/today.txt ("Buy bread.\n"). What an answer says can
// be kept for later examples of the same document, as the id of a file that
// was just made: Keep {"spare": ""} keeps the whole JSON answer, {"spare":
// "0.id"} the member id of its first row. "$spare" stands for it in paths, headers
// and bodies from then on, and so do "$you" and "$friend", the ids of the users, and "$home",
// the id of your drive. What an example makes may stay; what others need it leaves as it is.
package route
