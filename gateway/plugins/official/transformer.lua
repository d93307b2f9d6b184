-- Changes headers and the query as the rule says, one operation after the other. Whatever it does not name arrives as it was written.
--
-- Values of keys come in private headers, which are taken away first of all.

local find, sub, gsub, format, byte = string.find, string.sub, string.gsub, string.format, string.byte

local function decoded(text)
  return (gsub(text, "%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end))
end

local function encoded(text)
  return (gsub(text, "[^%w%-._~]", function(c) return format("%%%02X", byte(c)) end))
end

local function values_of(headers, name)
  local found = {}
  for number = 1, headers:getNumValues(name) do
    found[number] = headers:getAtIndex(name, number - 1)
  end
  return found
end

local Headers = {}
Headers.__index = Headers

function Headers:has(name) return self.map:getNumValues(name) > 0 end
function Headers:remove(name) self.map:remove(name) end
function Headers:set(name, value) self.map:replace(name, value) end
function Headers:add(name, value) self.map:add(name, value) end
function Headers:copy(from, to)
  local found = values_of(self.map, from)
  self.map:remove(to)
  for _, value in ipairs(found) do self.map:add(to, value) end
end

-- The query as its parts stand between "&", so that those not named stay as they are.
local Query = {}
Query.__index = Query

local function name_of(part)
  local equals = find(part, "=", 1, true)
  return decoded(equals and sub(part, 1, equals - 1) or part)
end

local function value_of(part)
  local equals = find(part, "=", 1, true)
  return equals and sub(part, equals) or ""
end

local function query_of(handle)
  local path = handle:headers():get(":path")
  local mark = find(path, "?", 1, true)
  local parts, rest = {}, mark and sub(path, mark + 1) or ""
  local start = 1
  while mark and start <= #rest + 1 do
    local stop = find(rest, "&", start, true) or #rest + 1
    parts[#parts + 1] = sub(rest, start, stop - 1)
    start = stop + 1
  end
  return setmetatable({before = mark and sub(path, 1, mark - 1) or path, parts = parts, changed = false}, Query)
end

function Query:write(handle)
  if self.changed then
    local rest = table.concat(self.parts, "&")
    handle:headers():replace(":path", self.before .. (rest == "" and "" or "?") .. rest)
  end
end

function Query:has(name)
  for _, part in ipairs(self.parts) do
    if name_of(part) == name then return true end
  end
  return false
end

function Query:remove(name)
  local kept = {}
  for _, part in ipairs(self.parts) do
    if name_of(part) ~= name then kept[#kept + 1] = part end
  end
  self.changed = self.changed or #kept < #self.parts
  self.parts = kept
end

function Query:set(name, value)
  self:remove(name)
  self:add(name, value)
end

function Query:add(name, value)
  self.parts[#self.parts + 1] = encoded(name) .. "=" .. encoded(value)
  self.changed = true
end

function Query:copy(from, to)
  local found = {}
  for _, part in ipairs(self.parts) do
    if name_of(part) == from then found[#found + 1] = encoded(to) .. value_of(part) end
  end
  self:remove(to)
  for _, part in ipairs(found) do self.parts[#self.parts + 1] = part end
  self.changed = true
end

local DO = {
  remove = function(place, step) place:remove(step.name) end,
  rename = function(place, step)
    if step.name ~= step.to and place:has(step.name) then
      place:copy(step.name, step.to)
      place:remove(step.name)
    end
  end,
  replace = function(place, step, value) if place:has(step.name) then place:set(step.name, value) end end,
  add = function(place, step, value) if not place:has(step.name) then place:add(step.name, value) end end,
  append = function(place, step, value) place:add(step.name, value) end,
  map = function(place, step) if step.name ~= step.to and place:has(step.name) then place:copy(step.name, step.to) end end,
}

local function run(steps, places, secrets)
  for _, step in ipairs(steps) do
    DO[step["do"]](places[step.place], step, step.secret and assert(secrets[step.secret]) or step.value)
  end
end

local function taken(headers, names)
  local secrets = {}
  for number, name in ipairs(names) do
    secrets[number] = headers:get(name)
    headers:remove(name)
  end
  return secrets
end

local function request(handle)
  local context, headers = handle:filterContext(), handle:headers()
  local secrets = taken(headers, context:get("secrets"))
  local query = query_of(handle)
  run(context:get("request"), {header = setmetatable({map = headers}, Headers), query = query}, secrets)
  query:write(handle)
end

-- Envoy lets a request pass on when a script fails.
function envoy_on_request(handle)
  if not pcall(request, handle) then
    handle:respond({[":status"] = "503"}, "The transformer plugin could not change this request.")
  end
end

function envoy_on_response(handle)
  run(handle:filterContext():get("response"), {header = setmetatable({map = handle:headers()}, Headers)}, {})
end
