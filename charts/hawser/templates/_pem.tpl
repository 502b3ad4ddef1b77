{{/* PEM from what is PEM or base64 of it, on one line or on many; empty for anything else. */}}
{{- define "hawser.pem" -}}
{{- $text := toString . -}}
{{- if not (contains "-----BEGIN " $text) -}}
{{- $text = regexReplaceAll "\\s" $text "" | b64dec -}}
{{- end -}}
{{- if contains "-----BEGIN " $text -}}{{- trim $text -}}{{- end -}}
{{- end -}}

{{/* The same as the API has it: PEM, then base64 on one line. */}}
{{- define "hawser.pem64" -}}
{{- with include "hawser.pem" . -}}{{- printf "%s\n" . | b64enc -}}{{- end -}}
{{- end -}}

{{/* What is wrong with certificates; empty where nothing is. */}}
{{- define "hawser.certificateFault" -}}
{{- $pem := include "hawser.pem" . -}}
{{- if not $pem -}}
is neither PEM nor base64 of it: it begins with -----BEGIN CERTIFICATE-----, or is what base64 -w0 ca.crt prints
{{- else if contains "PRIVATE KEY-----" $pem -}}
holds a private key: give the certificate alone
{{- else if not (regexMatch "-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\\s]+-----END CERTIFICATE-----" $pem) -}}
is PEM of something else than a certificate
{{- end -}}
{{- end -}}

{{/* What is wrong with a private key. */}}
{{- define "hawser.keyFault" -}}
{{- $pem := include "hawser.pem" . -}}
{{- if not $pem -}}
is neither PEM nor base64 of it: it begins with -----BEGIN PRIVATE KEY----- or alike
{{- else if contains "ENCRYPTED" $pem -}}
is encrypted: there is nobody to ask for the passphrase
{{- else if not (regexMatch "-----BEGIN ([A-Z]+ )?PRIVATE KEY-----[A-Za-z0-9+/=\\s]+-----END ([A-Z]+ )?PRIVATE KEY-----" $pem) -}}
is PEM of something else than a private key
{{- end -}}
{{- end -}}
