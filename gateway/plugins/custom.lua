-- Runs a custom plugin: in an environment of its own, with its configuration, and closed when it fails.
--
-- In front of this stand NAME and SOURCE. The script is data here, so one that cannot be read harms its own routes and nobody's
-- configuration. It defines envoy_on_request(handle, config), envoy_on_response(handle, config), or both. `config.<field>` is also there
-- without being handed on; secret fields are there for the request alone.

jit.off() -- the count below only sees what is interpreted
local EVERY, MOST = 10000, 2000 -- together 20 million instructions without a pause, about a tenth of a second: then it is stopped
local find, spent = string.find, 0

debug.sethook(function()
  spent = spent + 1
  if spent > MOST then error("it ran too long", 0) end
end, "", EVERY)

-- Nothing in here opens a file, starts a program, loads code or calls another service.
local function guarded(call)
  return function(...)
    local results = {call(...)}
    if spent > MOST then error("it ran too long", 0) end
    return unpack(results, 1, 16)
  end
end

local function only(library, ...)
  local some = {}
  for _, name in ipairs({...}) do some[name] = library[name] end
  return some
end

local environment = {
  assert = assert, error = error, ipairs = ipairs, next = next, pairs = pairs, pcall = guarded(pcall), rawequal = rawequal,
  rawget = rawget, rawset = rawset, select = select, setmetatable = setmetatable, tonumber = tonumber, tostring = tostring,
  type = type, unpack = unpack, _VERSION = _VERSION,
  getmetatable = function(value) return type(value) == "table" and getmetatable(value) or nil end,
  bit = bit, math = math, table = table,
  string = only(string, "byte", "char", "find", "format", "gmatch", "gsub", "len", "lower", "match", "reverse", "sub", "upper"),
  os = only(os, "clock", "date", "difftime", "time"),
}
environment._G = environment

-- Requests take turns whenever one waits, and each has a thread of Lua of its own.
local running, configs = coroutine.running, setmetatable({}, {__mode = "k"})
environment.config = setmetatable({}, {
  __index = function(_, field) return (configs[running()] or {})[field] end,
  __newindex = function() error("config cannot be changed", 2) end,
})
getmetatable("").__index = environment.string

local chunk, broken
if SOURCE:byte(1) == 27 then
  broken = "it is compiled Lua; give its source"
else
  chunk, broken = loadstring(SOURCE, "=" .. NAME)
end

local function load()
  if not chunk then error(broken, 0) end
  if not environment.loaded then
    setfenv(chunk, environment)()
    rawset(environment, "loaded", true)
  end
end

-- What a script writes down holds no value of a key.
local function clean(text, secrets)
  text = tostring(text)
  for _, value in pairs(secrets) do
    if find(text, value, 1, true) then return "(a message that holds a key's value)" end
  end
  return text
end

local LEVELS = {"logTrace", "logDebug", "logInfo", "logWarn", "logErr", "logCritical"}

local function limited(handle, secrets)
  local own = {}
  for _, name in ipairs({"headers", "body", "bodyChunks", "trailers", "respond", "base64Escape", "timestamp", "timestampString"}) do
    own[name] = function(_, ...) return handle[name](handle, ...) end
  end
  for _, name in ipairs(LEVELS) do
    own[name] = function(_, text) handle[name](handle, NAME .. ": " .. clean(text, secrets)) end
  end
  return own
end

local function configured(handle, with_secrets)
  local context, config, secrets = handle:filterContext(), {}, {}
  for field, value in pairs(context:get("config") or {}) do config[field] = value end
  if with_secrets then
    local headers = handle:headers()
    for field, header in pairs(context:get("secrets") or {}) do
      secrets[field] = assert(headers:get(header))
      headers:remove(header)
      config[field] = secrets[field]
    end
  end
  return config, secrets
end

local function run(handle, name, with_secrets)
  spent = 0
  local config, secrets = configured(handle, with_secrets)
  configs[running()] = config
  local done, problem = pcall(function()
    load()
    if environment[name] then environment[name](limited(handle, secrets), config) end
  end)
  if not done then handle:logErr("plugin " .. NAME .. ": " .. clean(problem, secrets)) end
  return done
end

local FAILED = '{"error":{"message":"A plugin of this service failed.","type":"gateway_error","code":"plugin_failed"}}'

-- Envoy lets a request pass on when a script fails.
function envoy_on_request(handle)
  local sound, done = pcall(run, handle, "envoy_on_request", true)
  if not (sound and done) then
    handle:respond({[":status"] = "503", ["content-type"] = "application/json"}, FAILED)
  end
end

function envoy_on_response(handle)
  local sound, done = pcall(run, handle, "envoy_on_response", false)
  if not (sound and done) then
    local headers = handle:headers()
    headers:replace(":status", "503")
    headers:replace("content-type", "application/json")
    headers:remove("content-encoding")
    local body = handle:body(true)
    headers:replace("content-length", tostring(body:setBytes(FAILED)))
  end
end
