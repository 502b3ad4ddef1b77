package shard

// Affinity lets tests judge the hash without the bound.
var Affinity = affinity
