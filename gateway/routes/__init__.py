"""One blueprint per documented resource. A route reads the request, calls one function, writes the response."""
