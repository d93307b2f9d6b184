-- Over SSE an MCP server announces, in an event of its stream, where the client shall post its messages. What it names is its own path:
-- here it becomes the gateway's. Anything else that it might name, another host or another service of this gateway, is not passed on,
-- because clients post there with the credential that they show the gateway. Every other byte passes as it came, as soon as it came.
--
-- Before these lines stand: ENTRANCE (of the service on the gateway), ENDPOINT and MESSAGES (paths of the back end), AUTHORITIES (its
-- host, as a set, in lower case).

local REFUSED = ENTRANCE .. "/endpoint-refused" -- nothing answers there
local LONGEST = 8192 -- bytes of a line that has to be read whole
local SHORT = 64 -- an unfinished line of fewer bytes may still become one that matters

local find, sub = string.find, string.sub

local function plain(path)
  return not find(path, "[^%w%-._~!$&'()*+,;=:@/]") and not find(path, "//", 1, true)
    and not find(path .. "/", "/%.%.?/")
end

local function is_below(path, root)
  return path == root or sub(path, 1, #root + 1) == root .. "/"
end

-- RFC 3986, 5.2, as far as servers make use of it: a whole address of their own host, a path from the root, or one beside the endpoint.
local function path_of(announced)
  local authority, rest = announced:match("^[Hh][Tt][Tt][Pp][Ss]?://([^/?#]+)(.*)$")
  if authority then
    return AUTHORITIES[authority:lower()] and rest
  end
  local first = sub(announced, 1, 1)
  if first == "/" then return announced end
  if first == "?" then return ENDPOINT .. announced end
  return ENDPOINT:match("^(.*/)") .. announced
end

local function at_the_gateway(announced)
  local whole = path_of(announced)
  if not whole or find(whole, "[^!-~]") or find(whole, "#", 1, true) then return REFUSED end
  local path = whole:match("^[^?]*")
  if plain(path) and (is_below(path, MESSAGES) or path == ENDPOINT) then return ENTRANCE .. whole end
  return REFUSED
end

-- One line of an event, without its end. `event` remembers what the lines before it said.
local function rewritten(line, event)
  if line == "" then
    event.announces, event.data = false, false
    return line
  end
  local field, value = line:match("^([^:]*):? ?(.*)$")
  if field == "event" then
    event.announces = value == "endpoint"
    if event.announces and event.data then return "event: endpoint-refused" end -- its data has gone by
  elseif field == "data" then
    if event.announces then
      line = event.data and ": " or "data: " .. at_the_gateway(value)
    end
    event.data = true
  end
  return line
end

local function reader()
  local event, held, broken, started = {announces = false, data = false}, "", false, false
  local passing = false -- the rest of a line whose beginning has been sent, or shall not be
  local drop = false
  return function(text)
    text = held .. text
    if not started and #text >= 3 then
      started = true
      if sub(text, 1, 3) == "\239\187\191" then text = sub(text, 4) end
    end
    local out, count, start = {}, 0, 1
    if broken and text ~= "" then -- between "\r" and what may be its "\n"
      broken = false
      if sub(text, 1, 1) == "\n" then
        out[1], count, start = "\n", 1, 2
      end
    end
    while true do
      local stop = find(text, "[\r\n]", start)
      if not stop then break end
      local ending = sub(text, stop, stop)
      if ending == "\r" then
        if sub(text, stop + 1, stop + 1) == "\n" then ending = "\r\n" elseif stop == #text then broken = true end
      end
      local line = sub(text, start, stop - 1)
      count = count + 1
      if passing then
        out[count] = drop and "" or line
      else
        out[count] = rewritten(line, event)
      end
      out[count] = out[count] .. ending
      passing, drop = false, false
      start = stop + #ending
    end
    held = sub(text, start)
    if passing then
      if not drop then out[count + 1] = held end
      held = ""
    elseif event.announces then
      if #held > LONGEST then held, passing, drop = "", true, true end
    elseif #held >= SHORT then
      -- Too long for "event: endpoint", so at most a line of data.
      if sub(held, 1, 5) == "data:" then event.data = true end
      out[count + 1], held, passing = held, "", true
    end
    return table.concat(out)
  end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local kind = headers:get("content-type")
  if not kind or not find(kind:lower(), "^%s*text/event%-stream") then return end
  local readable = not headers:get("content-encoding")
  headers:remove("content-length")
  local read = reader()
  for chunk in handle:bodyChunks() do
    local length = chunk:length()
    if length > 0 then
      local ok, text = pcall(read, chunk:getBytes(0, length))
      chunk:setBytes(readable and ok and text or "")
    end
  end
end
