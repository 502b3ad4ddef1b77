package awstest

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"strings"
)

// queryFormat is the XML of STS and IAM, or JSON where the client asks STS for it, as verifiers of tokens do.
type queryFormat struct {
	op   string
	iam  bool
	json bool
}

func formatOf(r *http.Request) *queryFormat {
	return &queryFormat{json: strings.Contains(strings.ToLower(r.Header.Get("Accept")), "application/json")}
}

func (f *queryFormat) namespace() string {
	if f.iam {
		return "https://iam.amazonaws.com/doc/2010-05-08/"
	}
	return "https://sts.amazonaws.com/doc/2011-06-15/"
}

type responseMetadata struct {
	RequestID string `xml:"RequestId" json:"RequestId"`
}

func (f *queryFormat) write(w http.ResponseWriter, requestID string, result any) {
	metadata := responseMetadata{requestID}
	if f.json {
		writeJSON(w, http.StatusOK, map[string]any{f.op + "Response": map[string]any{f.op + "Result": result, "ResponseMetadata": metadata}})
		return
	}
	writeXML(w, http.StatusOK, xmlElement{
		XMLName: xml.Name{Local: f.op + "Response"}, Namespace: f.namespace(),
		Children: []any{named{f.op + "Result", result}, named{"ResponseMetadata", metadata}},
	})
}

func (f *queryFormat) fail(w http.ResponseWriter, requestID string, failure *Failure) {
	body := errorBody{Type: "Sender", Code: failure.Code, Message: failure.Message}
	if failure.Status >= http.StatusInternalServerError {
		body.Type = "Receiver"
	}
	if f.json {
		writeJSON(w, failure.Status, map[string]any{"Error": body, "RequestId": requestID})
		return
	}
	writeXML(w, failure.Status, xmlElement{
		XMLName: xml.Name{Local: "ErrorResponse"}, Namespace: f.namespace(),
		Children: []any{named{"Error", body}, named{"RequestId", requestID}},
	})
}

type errorBody struct {
	Type    string
	Code    string
	Message string
}

// xmlElement has children whose names are not those of their types.
type xmlElement struct {
	XMLName   xml.Name
	Namespace string `xml:"xmlns,attr"`
	Children  []any
}

type named struct {
	name  string
	value any
}

// MarshalXML implements xml.Marshaler.
func (n named) MarshalXML(e *xml.Encoder, _ xml.StartElement) error {
	return e.EncodeElement(n.value, xml.StartElement{Name: xml.Name{Local: n.name}})
}

func writeXML(w http.ResponseWriter, status int, element xmlElement) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_ = xml.NewEncoder(w).Encode(element) // the client has gone, or would not understand it
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone, or would not understand it
}

// eksFormat is the JSON of EKS, whose errors are named in a header.
type eksFormat struct{}

func (eksFormat) write(w http.ResponseWriter, _ string, result any) {
	writeJSON(w, http.StatusOK, result)
}

// eksCodes are EKS's words for what STS says otherwise.
var eksCodes = map[string]string{
	"AccessDenied":               "AccessDeniedException",
	"Throttling":                 "ThrottlingException",
	"ExpiredToken":               "ExpiredTokenException",
	"IncompleteSignature":        "IncompleteSignatureException",
	"InvalidClientTokenId":       "UnrecognizedClientException",
	"MissingAuthenticationToken": "MissingAuthenticationTokenException",
	"SignatureDoesNotMatch":      "InvalidSignatureException",
}

func (eksFormat) fail(w http.ResponseWriter, _ string, f *Failure) {
	code, status := f.Code, f.Status
	if translated, ok := eksCodes[code]; ok {
		code = translated
	}
	if code == "ThrottlingException" {
		status = http.StatusTooManyRequests
	}
	w.Header().Set("X-Amzn-Errortype", code)
	writeJSON(w, status, map[string]string{"message": f.Message})
}
