package aws

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/hawser-io/hawser/credential"
)

// Keys of a Secret with access keys, in either form that the Secret of a static identity may have:
// one by one, as Cluster API's provider for AWS reads them, or as a credentials file, as its operator does.
const (
	AccessKeyIDKey     = "AccessKeyID"
	SecretAccessKeyKey = "SecretAccessKey"
	SessionTokenKey    = "SessionToken"
	CredentialsFileKey = "AWS_B64ENCODED_CREDENTIALS"
	RegionKey          = "AWS_REGION"
)

// maxCredentialsFile is far more than a profile takes.
const maxCredentialsFile = 64 << 10

// KeysOf reads access keys from the data of a Secret. Its errors say what is missing or wrong and quote nothing.
func KeysOf(data map[string][]byte) (*Keys, error) {
	text := func(key string) string { return strings.TrimSpace(string(data[key])) }
	_, asFile := data[CredentialsFileKey]
	_, oneByOne := data[AccessKeyIDKey]
	if _, half := data[SecretAccessKeyKey]; half {
		oneByOne = true
	}
	switch {
	case asFile && oneByOne:
		return nil, fmt.Errorf("it has both %s and %s or %s: leave one form", CredentialsFileKey, AccessKeyIDKey, SecretAccessKeyKey)
	case asFile && text(RegionKey) == "":
		return nil, fmt.Errorf("it has %s but no %s: half of what is needed", CredentialsFileKey, RegionKey)
	case asFile:
		keys, err := keysOfFile(text(CredentialsFileKey))
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", CredentialsFileKey, err)
		}
		keys.Region = text(RegionKey)
		return keys, nil
	}
	return completeKeys(text(AccessKeyIDKey), text(SecretAccessKeyKey), text(SessionTokenKey), text(RegionKey))
}

func completeKeys(id, secret, token, region string) (*Keys, error) {
	switch {
	case id == "" && secret == "":
		return nil, fmt.Errorf("it has neither %s and %s nor %s", AccessKeyIDKey, SecretAccessKeyKey, CredentialsFileKey)
	case id == "":
		return nil, errors.New("it has a secret access key without an access key ID: half a pair")
	case secret == "":
		return nil, errors.New("it has an access key ID without a secret access key: half a pair")
	}
	return &Keys{AccessKeyID: id, SecretAccessKey: credential.NewSecret(secret), SessionToken: credential.NewSecret(token), Region: region}, nil
}

// keysOfFile reads the profile default of a credentials file that is base64 once more. Nothing else of
// the file counts: it cannot name a role, a program or another file.
func keysOfFile(encoded string) (*Keys, error) {
	if len(encoded) > maxCredentialsFile {
		return nil, errors.New("it is too long for a credentials file")
	}
	file, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(encoded), ""))
	if err != nil {
		return nil, errors.New("it is no base64 of a credentials file") // the cause would quote it
	}
	values, found := map[string]string{}, false
	profile := ""
	lines := bufio.NewScanner(bytes.NewReader(file))
	lines.Buffer(nil, maxCredentialsFile)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			profile = strings.TrimSpace(line[1 : len(line)-1])
			found = found || profile == "default"
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if ok && profile == "default" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ";") {
			values[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
		}
	}
	if err := lines.Err(); err != nil || !found {
		return nil, errors.New("it is no credentials file with a profile [default]")
	}
	return completeKeys(values["aws_access_key_id"], values["aws_secret_access_key"], values["aws_session_token"], "")
}
