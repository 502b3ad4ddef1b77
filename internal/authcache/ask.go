package authcache

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// InfoVariable is where a plugin reads what it is asked.
const InfoVariable = "KUBERNETES_EXEC_INFO"

// The versions of the protocol that are spoken. They differ in nothing that an answer has.
const (
	V1      = "client.authentication.k8s.io/v1"
	V1beta1 = "client.authentication.k8s.io/v1beta1"
)

// Ask is what a plugin is asked: KUBERNETES_EXEC_INFO, as far as it matters.
type Ask struct {
	// APIVersion in which to answer.
	APIVersion string
	// Interactive says that somebody sits at a terminal, who may be asked something.
	Interactive bool
	// Cluster is spec.cluster as it came; nil where the plugin is not told which cluster it is for.
	Cluster json.RawMessage
}

// ReadAsk reads the value of KUBERNETES_EXEC_INFO. An empty one, as at a shell, asks for version v1.
func ReadAsk(info string) (Ask, error) {
	if info == "" {
		return Ask{APIVersion: V1}, nil
	}
	var read struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Spec       struct {
			Interactive bool            `json:"interactive"`
			Cluster     json.RawMessage `json:"cluster"`
		} `json:"spec"`
	}
	if err := json.Unmarshal([]byte(info), &read); err != nil {
		return Ask{}, errors.New("reading " + InfoVariable + ": it is no ExecCredential in JSON")
	}
	if read.Kind != "ExecCredential" || read.APIVersion != V1 && read.APIVersion != V1beta1 {
		return Ask{}, fmt.Errorf("reading %s: it asks for %.60q %.60q, and there is only ExecCredential of %s and %s", InfoVariable, read.APIVersion, read.Kind, V1, V1beta1)
	}
	if string(read.Spec.Cluster) == "null" {
		read.Spec.Cluster = nil
	}
	return Ask{APIVersion: read.APIVersion, Interactive: read.Spec.Interactive, Cluster: read.Spec.Cluster}, nil
}

// Answer prints an ExecCredential.
func (a Ask) Answer(out io.Writer, status Status) error {
	text, err := json.Marshal(struct {
		APIVersion string          `json:"apiVersion"`
		Kind       string          `json:"kind"`
		Spec       json.RawMessage `json:"spec"`
		Status     json.RawMessage `json:"status"`
	}{a.APIVersion, "ExecCredential", json.RawMessage(fmt.Sprintf(`{"interactive":%t}`, a.Interactive)), status.json})
	if err != nil {
		return fmt.Errorf("printing the answer: %w", err)
	}
	_, err = out.Write(append(text, '\n'))
	return err
}
